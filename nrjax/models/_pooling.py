"""From tokens to one vector a sample: the ways to pool, and the settings of sentence encoders."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nrjax._utils.messages import first_line

POOLINGS = ("mean", "cls", "last", "max")
MODULES = ("Transformer", "Pooling", "Normalize")
KINDS = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")  # in the names of settings


def pool(state: Any, mask: Any, pooling: str) -> Any:
    """One vector a sample of a hidden state: `[samples, tokens, dims]`, or `[samples, dims, height, width]`."""
    if state.ndim == 2:
        return state
    if state.ndim == 4:
        return state.float().mean(dim=(2, 3))
    state = state.float()
    if pooling == "cls":
        return state[:, 0]
    if mask is None:
        return state.amax(dim=1) if pooling == "max" else state[:, -1] if pooling == "last" else state.mean(dim=1)
    if pooling == "last":  # the last token that is no padding, on whichever side the padding lies
        positions = mask * (1 + mask.new_tensor(range(mask.shape[1])))
        return state[range(len(state)), positions.argmax(dim=1)]
    weights = mask[:, :, None].to(state.dtype)
    if pooling == "max":
        return state.masked_fill(weights == 0, -float("inf")).amax(dim=1)
    return (state * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


class Sentences(NamedTuple):
    """Settings of a directory of sentence-transformers.

    Attributes:
      pooling: of its tokens; None where it does not say.
      normalise: whether embeddings have length 1.
      longest: number of tokens of a text.
      lower: whether texts become lower case before they are read.
      prompt: put before every text.
      dims: number of the first dims of an embedding that are kept; None keeps all.
    """

    pooling: str | None = None
    normalise: bool = False
    longest: int | None = None
    lower: bool = False
    prompt: str = ""
    dims: int | None = None


def sentence_settings(folder: Path | None, who: str) -> Sentences:
    """The settings of a directory of sentence-transformers; the defaults for any other."""
    if folder is None or not (folder / "modules.json").is_file():
        return Sentences()
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        kinds = {str(module["type"]).rsplit(".", 1)[-1]: str(module["path"]) for module in modules}
        unknown = sorted(set(kinds) - set(MODULES))
        if unknown:
            raise ValueError(f"it has {', '.join(unknown)} behind the pooling, which nrjax does not know")
        pooling, pools_prompt = None, True
        if "Pooling" in kinds:
            path = (folder / kinds["Pooling"] / "config.json").resolve()
            if not path.is_relative_to(folder.resolve()):
                raise ValueError("it names a file outside its folder")
            config = json.loads(path.read_text(encoding="utf-8"))
            pooling, pools_prompt = _pooling_of(config), config.get("include_prompt", True)
        files = [folder / f"sentence_{kind}_config.json" for kind in KINDS]
        settings = next((_read(file) for file in files if file.is_file()), {})
        prompts = _read(folder / "config_sentence_transformers.json")
        default = prompts.get("default_prompt_name")
        prompt = prompts.get("prompts", {})[default] if default else ""
        if prompt and not pools_prompt:
            raise ValueError("its pooling leaves the prompt out (include_prompt), which nrjax does not know")
        return Sentences(
            pooling, "Normalize" in kinds, settings.get("max_seq_length"), bool(settings.get("do_lower_case")),
            str(prompt), prompts.get("truncate_dim"),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise ValueError(f"{who}: modules.json of sentence-transformers: {first_line(error)}.") from error


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _pooling_of(config: Mapping[str, Any]) -> str:
    known = {"cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max", "lasttoken": "last"}
    chosen = [key.removeprefix("pooling_mode_") for key, on in config.items() if key.startswith("pooling_mode_") and on]
    chosen = chosen or [{"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}.get(
        str(config.get("pooling_mode")), str(config.get("pooling_mode")))]  # fmt: skip
    if len(chosen) != 1 or chosen[0] not in known:
        raise ValueError(f"its pooling is {', '.join(chosen)}; known are {', '.join(known)}")
    return known[chosen[0]]
