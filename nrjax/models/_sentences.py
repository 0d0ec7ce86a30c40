"""Directories of sentence-transformers: how they pool, and what stands behind the pooling."""

# pyright: reportMissingImports=false

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import safetensors

from nrjax._utils.messages import first_line, printable, shortened
from nrjax._utils.paths import check_regular

FIRST, BEHIND = ("Transformer", "StaticEmbedding"), ("Dense", "LayerNorm", "Normalize", "Dropout")
KINDS = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")  # in the names of settings
MODES = {  # of sentence-transformers, in the order in which they are concatenated, and what they are called here
    "cls": "cls", "max": "max", "mean": "mean", "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weightedmean", "lasttoken": "last",
}  # fmt: skip
OLD_MODES = {"cls_token": "cls", "max_tokens": "max", "mean_tokens": "mean", "weightedmean_tokens": "weightedmean"}
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "Sigmoid", "SiLU")  # of torch.nn; a file may name no other


class Sentences(NamedTuple):
    """Settings of a directory of sentence-transformers.

    Attributes:
      first: kind of the first module: `Transformer` or `StaticEmbedding`; empty for any other directory.
      folder: of the first module, within the directory.
      pooling: of its tokens; None where it does not say.
      head: what stands behind the pooling, kinds and folders in order.
      longest: number of tokens of a text.
      lower: whether texts become lower case before they are read.
      prompt: put before every text.
      dims: number of the first dims of an embedding that are kept; None keeps all.
    """

    first: str = ""
    folder: str = ""
    pooling: str | None = None
    head: tuple[tuple[str, str], ...] = ()
    longest: int | None = None
    lower: bool = False
    prompt: str = ""
    dims: int | None = None


def sentence_settings(folder: Path | None, who: str) -> Sentences:
    """The settings of a directory of sentence-transformers; the defaults for any other."""
    if folder is None or not (folder / "modules.json").is_file():
        return Sentences()
    try:
        listed = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        modules = [(str(module["type"]).rsplit(".", 1)[-1], str(module["path"])) for module in listed]
        (first, place), *rest = modules
        poolings = [path for kind, path in rest[:1] if kind == "Pooling"]
        head = tuple(rest[len(poolings) :])
        unknown = sorted({kind for kind, _ in head} - set(BEHIND)) + ([first] if first not in FIRST else [])
        if unknown:
            raise ValueError(f"it has {', '.join(unknown)}, which nrjax does not know")
        for _, path in modules:
            if not (folder / path).resolve().is_relative_to(folder.resolve()):
                raise ValueError("it names a file outside its folder")
        pooling, pools_prompt = None, True
        if poolings:
            config = _read(folder / poolings[0] / "config.json")
            pooling, pools_prompt = _pooling_of(config), config.get("include_prompt", True)
        files = [folder / place / f"sentence_{kind}_config.json" for kind in KINDS]
        settings = next((_read(file) for file in files if file.is_file()), {})
        prompts = _read(folder / "config_sentence_transformers.json")
        default = prompts.get("default_prompt_name")
        prompt = prompts.get("prompts", {})[default] if default else ""
        if prompt and not pools_prompt:
            raise ValueError("its pooling leaves the prompt out (include_prompt), which nrjax does not know")
        return Sentences(
            first, place, pooling, head, settings.get("max_seq_length"), bool(settings.get("do_lower_case")),
            str(prompt), prompts.get("truncate_dim"),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise ValueError(f"{who}: modules.json of sentence-transformers: {first_line(error)}.") from error


def load_head(folder: Path, head: Sequence[tuple[str, str]], who: str) -> Any:
    """What stands behind the pooling, as a module of PyTorch; None where nothing does.

    Raises:
      ValueError: weights that are pickled, missing, or do not fit; an activation that is not known.
    """
    import torch

    class Normalize(torch.nn.Module):
        def forward(self, x: object) -> Any:
            return torch.nn.functional.normalize(x, dim=1)

    class Dense(torch.nn.Module):
        def __init__(self, config: Mapping[str, Any]):
            super().__init__()
            sizes = config["in_features"], config["out_features"]
            self.linear = torch.nn.Linear(*sizes, bias=config.get("bias", True))
            name = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
            kind = name.rpartition(".")[2]
            if not name.startswith("torch.nn.modules.") or kind not in ACTIVATIONS:
                raise ValueError(f"activation {printable(shortened(name, 60))}; known are {', '.join(ACTIVATIONS)}")
            self.activation = getattr(torch.nn, kind)()
            self.adds = bool(config.get("use_residual"))
            if self.adds and sizes[0] != sizes[1]:
                self.residual = torch.nn.Linear(*sizes, bias=False)

        def forward(self, x: object) -> Any:
            output = self.activation(self.linear(x))
            return output + getattr(self, "residual", torch.nn.Identity())(x) if self.adds else output

    class LayerNorm(torch.nn.Module):
        def __init__(self, config: Mapping[str, Any]):
            super().__init__()
            self.norm = torch.nn.LayerNorm(config["dimension"])

        def forward(self, x: object) -> Any:
            return self.norm(x)

    modules: list[Any] = []
    for kind, path in head:
        try:
            if kind == "Normalize":
                modules.append(Normalize())
            elif kind != "Dropout":
                config = _read(folder / path / "config.json")
                names = ("sentence_embedding", None)
                if any(config.get(f"module_{way}_name") not in names for way in ("input", "output")):
                    raise ValueError("it reads or writes something other than the embedding")
                module = (Dense if kind == "Dense" else LayerNorm)(config)
                module.load_state_dict(read_state(folder / path))
                modules.append(module)
        except Exception as error:  # whatever sizes and weights a file says
            raise ValueError(f"{who}: {kind} of sentence-transformers: {first_line(error)}.") from error
    return torch.nn.Sequential(*modules).eval().requires_grad_(False) if modules else None


def read_state(folder: Path, name: str = "model.safetensors") -> dict[str, Any]:
    """The weights of a folder, of one file alone. Raises ValueError where it is not there."""
    path = check_regular(folder / name, name)
    with safetensors.safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _pooling_of(config: Mapping[str, Any]) -> str:
    chosen = config.get("pooling_mode")
    if chosen is None:
        old = [
            key.removeprefix("pooling_mode_") for key, on in config.items() if key.startswith("pooling_mode_") and on
        ]
        chosen = sorted((OLD_MODES.get(mode, mode) for mode in old), key=[*MODES, *old].index) or ["mean"]
    chosen = [chosen] if isinstance(chosen, str) else list(chosen)
    unknown = [mode for mode in chosen if mode not in MODES]
    if unknown or not chosen:
        raise ValueError(f"its pooling is {', '.join(map(str, unknown))}; known are {', '.join(MODES)}")
    return "+".join(MODES[mode] for mode in chosen)
