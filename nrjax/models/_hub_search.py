"""Models of the Hugging Face Hub for a task, as a list of candidates; nothing of a model is fetched."""

# pyright: reportMissingImports=false

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nrjax._utils.frameworks import framework
from nrjax._utils.messages import first_line
from nrjax.models._where import parse_where

TASKS = (
    "image-classification", "image-feature-extraction", "zero-shot-image-classification", "feature-extraction",
    "sentence-similarity", "text-classification", "fill-mask", "token-classification", "audio-classification",
)  # fmt: skip
MOST = 5000  # models of a task that are looked at, the most downloaded first
SIZES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "BF16": 2, "F16": 2, "I16": 2}  # bytes of a number; of others 1
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*|[\w-][\w.-]*")
EXPANDED: list[Any] = ["safetensors", "tags", "downloads", "library_name", "config", "gated"]


def search_hub(task: str, where: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
    """Models that nrjax can read, by the hub's metadata: weights in safetensors, no code of their own, no login.

    Args:
      task: of `TASKS`.
      where: condition on `name`, `license`, `family`, `parameters`, `bytes` and `downloads`.
      limit: how many, the most downloaded first.

    Returns:
      For each the name with its prefix, and what is known of it.

    Raises:
      ValueError: no such task, no answer of the hub, or no such model.

    Examples:
      >>> found = nrjax.models.search_hub("image-classification", "parameters < 30e6")  # doctest: +SKIP
    """
    who = f"search of the hub for {task}"
    if task not in TASKS:
        raise ValueError(f"search: task must be of {', '.join(TASKS)}; got {task!r}.")
    holds = parse_where(where) if where is not None else lambda known: True
    framework("transformers", who)
    import huggingface_hub

    try:
        listed = huggingface_hub.HfApi().list_models(
            pipeline_tag=task, filter="safetensors", sort="downloads", limit=MOST, expand=EXPANDED
        )
        fitting = (known for known in _readable(listed) if holds(known))
        found = list(itertools.islice(fitting, limit))
    except Exception as error:
        raise ValueError(f"{who}: the hub does not answer: {first_line(error)}") from error
    if not found:
        raise ValueError(f"{who}: none of the {MOST:,} most downloaded fits{f' {where!r}' if where else ''}.")
    return found


def _readable(listed: Any) -> Iterator[dict[str, Any]]:
    """What is known of each model that a prefix reads."""
    for model in listed:
        tags, library = model.tags or [], model.library_name
        owner, _, name = model.id.rpartition("/")
        is_timm, sizes = library == "timm" and owner == "timm", model.safetensors
        if sizes is None or model.gated or "custom_code" in tags or not HUB_ID.fullmatch(model.id):
            continue
        if not is_timm and library not in ("transformers", "sentence-transformers"):
            continue
        known = {
            "name": f"timm:{name}" if is_timm else f"hf:{model.id}",
            "license": next((tag.partition(":")[2] for tag in tags if tag.startswith("license:")), ""),
            "family": (model.config or {}).get("model_type", ""), "parameters": int(sizes.total),
            "bytes": sum(SIZES.get(kind, 1) * int(n) for kind, n in sizes.parameters.items()),
            "downloads": model.downloads,
        }  # fmt: skip
        yield {key: value for key, value in known.items() if value not in (None, "")}


def write_list(path: Path, found: list[dict[str, Any]]) -> None:
    """A list of candidates in TOML, which `load_candidates` reads. Raises FileExistsError where there is a file."""
    tables = []
    for known in found:
        tags = {key: value for key, value in known.items() if key not in ("name", "license")}
        lines = [f"model = {_quoted(known['name'])}"]
        lines += [f"license = {_quoted(known['license'])}"] if "license" in known else []
        lines += [f"tags = {{{', '.join(f'{key} = {_quoted(value)}' for key, value in tags.items())}}}"]
        tables.append("\n".join(["[[models]]", *lines, ""]))
    with path.open("x", encoding="utf-8") as file:
        file.write("\n".join(tables))


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "")  # strings and numbers of JSON are those of TOML
