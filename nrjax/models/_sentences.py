"""What a directory of sentence-transformers says: how tokens are pooled, and what comes behind."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nrjax.files import first_line

MODULES = ("Transformer", "Pooling", "Normalize")


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
