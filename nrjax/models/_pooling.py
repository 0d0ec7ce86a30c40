"""From tokens to one vector a sample: the ways to pool, and which of them a sentence encoder asks for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nrjax.files import first_line

POOLINGS = ("mean", "cls", "last", "max")
MODULES = ("Transformer", "Pooling", "Normalize")


def pooled(state: Any, mask: Any, pooling: str) -> Any:
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
    if pooling == "last":  # the last token that is one, on whichever side the padding lies
        places = mask * (1 + mask.new_tensor(range(mask.shape[1])))
        return state[range(len(state)), places.argmax(dim=1)]
    kept = mask[:, :, None].to(state.dtype)
    if pooling == "max":
        return state.masked_fill(kept == 0, -float("inf")).amax(dim=1)
    return (state * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1e-9)


def sentence_settings(folder: Path | None, who: str) -> tuple[str | None, bool, int | None]:
    """Pooling, whether embeddings are normalised, and tokens, as a directory of sentence-transformers says."""
    if folder is None or not (folder / "modules.json").is_file():
        return None, False, None
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        kinds = {str(one["type"]).rsplit(".", 1)[-1]: str(one["path"]) for one in modules}
        unknown = sorted(set(kinds) - set(MODULES))
        if unknown:
            raise ValueError(f"it has {', '.join(unknown)} behind the pooling, which nrjax does not know")
        said = None
        if "Pooling" in kinds:
            path = (folder / kinds["Pooling"] / "config.json").resolve()
            if not path.is_relative_to(folder.resolve()):
                raise ValueError("it names a file outside its folder")
            said = _pooling_of(json.loads(path.read_text(encoding="utf-8")))
        settings = folder / "sentence_bert_config.json"
        longest = json.loads(settings.read_text(encoding="utf-8")).get("max_seq_length") if settings.is_file() else None
        return said, "Normalize" in kinds, longest
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise ValueError(f"{who}: modules.json of sentence-transformers: {first_line(error)}.") from error


def _pooling_of(config: Mapping[str, Any]) -> str:
    named = {"cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max", "lasttoken": "last"}
    chosen = [key.removeprefix("pooling_mode_") for key, on in config.items() if key.startswith("pooling_mode_") and on]
    chosen = chosen or [{"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}.get(
        str(config.get("pooling_mode")), str(config.get("pooling_mode")))]  # fmt: skip
    if len(chosen) != 1 or chosen[0] not in named:
        raise ValueError(f"its pooling is {', '.join(chosen)}; known are {', '.join(named)}")
    return named[chosen[0]]
