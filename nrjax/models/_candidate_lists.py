"""Lists of candidates in TOML or JSON: `models`, tables with `model`, name, tags, license, preprocessing."""

import json
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from nrjax._utils.messages import first_line, printable, shortened
from nrjax._utils.paths import check_regular
from nrjax.models._preprocessing import Preprocessing
from nrjax.models._sources import has_prefix

LISTS = (".toml", ".json")
MOST_BYTES = 1 << 24  # of a list
_FIELDS = {
    "model": str, "name": str, "tags": dict, "license": str, "source": str, "preprocessing": dict, "pooling": str,
}  # fmt: skip


class Entry(NamedTuple):
    """One entry of a list; None is the model's own."""

    model: str  # a name with a prefix, or the folder of a zoo
    has_prefix: bool
    name: str | None  # in the ranking
    fields: dict[str, Any]  # license, source and tags, as far as the entry has them
    preprocessing: Preprocessing | None
    pooling: str | None


def read_list(path: Path) -> list[Entry]:
    """The entries of a list.

    Raises:
      ValueError: it is no TOML or JSON, or an entry is wrong.
    """
    who = printable(path.name)
    if check_regular(path).stat().st_size > MOST_BYTES:
        raise ValueError(f"{who} is larger than {MOST_BYTES:,} bytes; expected a list of models.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{who} is not {path.suffix[1:].upper()}: {first_line(error)}") from error
    entries = content.get("models") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise ValueError(f'{who}: expected a list "models" of tables, each with model = "timm:resnet18" or the like.')
    return [_read_entry(entry, f"{who}: model {number}") for number, entry in enumerate(entries, start=1)]


def _read_entry(content: object, who: str) -> Entry:
    table: Any = {"model": content} if isinstance(content, str) else content
    if not isinstance(table, dict) or not isinstance(table.get("model"), str):
        raise ValueError(f'{who} must be a table with model = "timm:resnet18" or the like.')
    for key, value in table.items():
        if key not in _FIELDS:
            raise ValueError(
                f"{who} has {printable(shortened(key, 60))!r}, which is no field; there are {', '.join(_FIELDS)}."
            )
        if not isinstance(value, _FIELDS[key]):
            raise ValueError(f"{who}: {key} must be a {_FIELDS[key].__name__}; got {shortened(repr(value), 60)}.")
    model = table["model"]
    is_prefixed = has_prefix(model)
    if not is_prefixed and Path(model).suffix.lower() in LISTS:
        raise ValueError(f"{who}: a list cannot name another list; got {printable(shortened(model, 60))}.")
    if not is_prefixed and ("preprocessing" in table or "pooling" in table):
        raise ValueError(f"{who}: a zoo has the preprocessing of its models in their model.json.")
    try:
        settings = table.get("preprocessing", {}).items()
        options: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in settings}
        preprocessing = Preprocessing(**options) if options else None
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{who}: preprocessing: {first_line(error)}") from error
    fields = {key: table[key] for key in ("license", "source", "tags") if key in table}
    return Entry(model, is_prefixed, table.get("name"), fields, preprocessing, table.get("pooling"))
