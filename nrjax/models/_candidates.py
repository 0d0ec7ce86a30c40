"""Candidates from everywhere: names with a prefix, live objects, zoos, lists in TOML or JSON; loaded when asked for."""

import dataclasses
import functools
import json
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nrjax._utils.messages import first_line, printable, shortened
from nrjax._utils.paths import check_regular
from nrjax.models._code import version_of
from nrjax.models._live import as_model
from nrjax.models._load import PREFIXES, load_model
from nrjax.models._model import Model
from nrjax.models._preprocessing import Preprocessing
from nrjax.models._where import names_in, parse_where
from nrjax.models._zoo import Zoo, load_zoo

LISTS = (".toml", ".json")
MOST_BYTES = 1 << 24  # of a list
_FIELDS = {
    "model": str, "name": str, "tags": dict, "license": str, "source": str, "preprocessing": dict, "pooling": str,
}  # fmt: skip
RUNS_ON = {  # the packages that decide what a model of files computes
    "timm": ("timm", "torch"), "hf": ("transformers", "torch"), "onnx": ("onnxruntime",), "keras": ("keras",),
}  # fmt: skip
LOADING = ("parameters", "bytes")  # what is known of a model when it is loaded


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One model that may be chosen, not loaded yet.

    Attributes:
      name: in the ranking.
      load: gives what `as_model` takes.
      source: where it comes from.
      license: of its weights.
      tags: anything else worth knowing.
      measured: what was read off the model when it had to be loaded.
      problem: why nothing is known of it.
      key: where it lies and what is done with it there: equal keys and unchanged files give equal models. Empty for
        what is no file.
      place: its file or folder, where it has one.
    """

    name: str
    load: Callable[[], Any]
    source: str = ""
    license: str = ""
    tags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    measured: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    problem: str = ""
    key: str = ""
    place: Path | None = None

    @property
    def known(self) -> dict[str, Any]:
        """What can be said of it without loading it: name, source, license, tags."""
        said = {"name": self.name, "source": self.source, "license": self.license}
        return {**self.measured, **{key: value for key, value in said.items() if value}, **self.tags}


class Candidates(Mapping[str, Any]):
    """Candidates by name; each is loaded anew when it is looked up, and not kept."""

    def __init__(self, candidates: Sequence[Candidate]):
        self._candidates = {one.name: one for one in candidates}
        if len(self._candidates) < len(candidates):
            names = [one.name for one in candidates]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"Two models are called {', '.join(twice[:5])}; give them names, as in a mapping.")

    def __getitem__(self, name: str) -> Model:
        one = self._candidates[name]
        model = as_model(one.load())
        given = {"source": one.source, "license": one.license, "tags": {**model.description.tags, **one.tags}}
        model.description = dataclasses.replace(model.description, **{k: v for k, v in given.items() if v})
        return model

    def __iter__(self) -> Iterator[str]:
        return iter(self._candidates)

    def __len__(self) -> int:
        return len(self._candidates)

    def known(self, name: str) -> dict[str, Any]:
        """What can be said of a candidate without loading it. Raises ValueError where nothing can."""
        one = self._candidates[name]
        if one.problem:
            raise ValueError(one.problem)
        return one.known

    def key(self, name: str) -> str:
        """Where a candidate lies: equal keys and unchanged files give equal models; empty for what is no file."""
        return self._candidates[name].key

    def without(self, names: Collection[str]) -> "Candidates":
        """The others."""
        return Candidates([one for name, one in self._candidates.items() if name not in names])

    def place(self, name: str) -> Path | None:
        """The file or folder of a candidate, where it has one."""
        return self._candidates[name].place

    def where(self, expression: str) -> "Candidates":
        """Those of which an expression holds, or of which it cannot be told because they are broken.

        Models are loaded only where it asks what loading tells.

        Raises:
          ValueError: it is no expression, or holds of none.
        """
        holds, asked = parse_where(expression), names_in(expression)
        chosen = []
        for name, one in self._candidates.items():
            if (asked & set(LOADING)) - set(one.known):
                try:
                    described = self[name].description
                except Exception:  # it stays, and the ranking says why it cannot be loaded
                    chosen.append(one)
                    continue
                measured = {key: getattr(described, key) for key in ("source", "license", *LOADING)}
                measured |= described.tags
                one = dataclasses.replace(one, measured={k: v for k, v in measured.items() if v not in (None, "")})
            if one.problem or holds(one.known):
                chosen.append(one)
        if not chosen:
            raise ValueError(f"where: {expression!r} holds of none of {len(self)} models.")
        return Candidates(chosen)


def load_candidates(models: Any, *, where: str | None = None, download: bool = False) -> Mapping[str, Any]:
    """Every way to name candidates, as a mapping from name to model; nothing is loaded yet.

    Args:
      models: a name with a prefix, the folder of a zoo, a list in TOML or JSON; a mapping from name to any of these
        or to a live model; or a sequence of them.
      where: keep those of which this holds, such as `"parameters < 10e6 and license == 'apache-2.0'"`.
      download: as for `load_model`.

    Raises:
      ValueError: what is none of these; two models of one name.
    """
    if isinstance(models, Mapping) and where is None and not any(isinstance(v, (str, Path)) for v in _values(models)):
        return models  # a zoo, or live models: nothing to be done
    found = Candidates(_found(models, Path.cwd(), download))  # wherever somebody goes later
    return found if where is None else found.where(where)


def _values(models: Mapping[str, Any]) -> Any:
    """Of a plain dict; other mappings may compute what is looked up."""
    return models.values() if isinstance(models, dict) else ()


def _found(models: Any, base: Path, download: bool) -> list[Candidate]:
    if isinstance(models, (Zoo, Candidates)):
        return _of_mapping(models)
    if isinstance(models, Mapping):
        return [one for name, model in models.items() for one in _named(name, model, base, download)]
    if isinstance(models, (str, Path)):
        return _of_name(str(models), base, download)
    if isinstance(models, Sequence):
        parts = [
            _or_reason(one, base, download) if isinstance(one, (str, Path)) else _found(one, base, download)
            if isinstance(one, Mapping) else None for one in models
        ]  # fmt: skip
        if None in parts:
            kind = type(models[parts.index(None)]).__name__
            raise TypeError(f"models: a live model ({kind}) needs a name: pass a mapping, {{'mine': model}}.")
        return [one for part in parts if part for one in part]
    raise TypeError(
        "models must be a mapping, a name such as timm:resnet18, the folder of a zoo, a list (.toml, .json), or a "
        f"sequence of those; got {type(models).__name__}."
    )


def _or_reason(name: str | Path, base: Path, download: bool) -> list[Candidate]:
    """Candidates of one of several names; one that is none is told in its turn, and costs the others nothing."""
    try:
        return _of_name(str(name), base, download)
    except (ValueError, OSError) as error:
        reason = str(error)

        def load() -> Any:
            raise ValueError(reason)

        return [Candidate(str(name), load)]


def _named(name: str, model: Any, base: Path, download: bool) -> list[Candidate]:
    if not isinstance(model, (str, Path)):
        return [Candidate(name, lambda: model)]
    found = _or_reason(model, base, download)
    return [dataclasses.replace(found[0], name=name)] if len(found) == 1 else [
        dataclasses.replace(one, name=f"{name}/{one.name}") for one in found]  # fmt: skip


def _of_mapping(models: Any) -> list[Candidate]:
    found = []
    for name in models:
        tags: dict[str, Any] = {}
        if isinstance(models, Zoo):
            try:
                info = models.info(name)
                size = "x".join(map(str, info.input_shape))
                tags = {"source": info.source, "license": info.license,
                        "tags": {"architecture": info.architecture, "input": size, **info.tags}}  # fmt: skip
            except ValueError as error:
                tags = {"problem": str(error)}
            found.append(
                Candidate(name, lambda name=name: models[name], key=models.key(name), place=models.path / name, **tags)
            )
        else:
            found.append(models._candidates[name])
    return found


def _of_name(name: str, base: Path, download: bool) -> list[Candidate]:
    prefix = name.partition(":")[0]
    if prefix in PREFIXES and ":" in name:
        load = functools.partial(load_model, name, base=base, download=download)
        return [Candidate(name, load, source=name, key=_key(name, base), place=_place(name, base))]
    path = base / Path(name).expanduser()
    if path.suffix.lower() in LISTS and not path.is_dir():
        return _of_list(path, download)
    if path.is_dir():
        return _of_mapping(load_zoo(path))
    if ":" in name and not path.exists():
        load_model(name)  # says which prefixes there are
    raise FileNotFoundError(
        f"Models {printable(shortened(name, 100))!r}: there is no such folder or list (.toml, .json), and it has none "
        f"of the prefixes {', '.join(f'{one}:' for one in PREFIXES)}."
    )


def _of_list(path: Path, download: bool) -> list[Candidate]:
    """Candidates of a file: `models`, a list of tables with `model`, name, tags, license, preprocessing."""
    who = printable(path.name)
    if check_regular(path).stat().st_size > MOST_BYTES:
        raise ValueError(f"{who} is larger than {MOST_BYTES:,} bytes; expected a list of models.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        read = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{who} is not {path.suffix[1:].upper()}: {first_line(error)}") from error
    entries = read.get("models") if isinstance(read, dict) else read
    if not isinstance(entries, list) or not entries:
        raise ValueError(f'{who}: expected a list "models" of tables, each with model = "timm:resnet18" or the like.')
    found: list[Candidate] = []
    for number, entry in enumerate(entries, start=1):
        entry = {"model": entry} if isinstance(entry, str) else entry
        found += _of_entry(entry, f"{who}: model {number}", path.parent, download)
    return found


def _of_entry(entry: Any, who: str, base: Path, download: bool) -> list[Candidate]:
    if not isinstance(entry, dict) or not isinstance(entry.get("model"), str):
        raise ValueError(f'{who} must be a table with model = "timm:resnet18" or the like.')
    for key, value in entry.items():
        if key not in _FIELDS:
            raise ValueError(
                f"{who} has {printable(shortened(key, 60))!r}, which is no field; there are {', '.join(_FIELDS)}."
            )
        if not isinstance(value, _FIELDS[key]):
            raise ValueError(f"{who}: {key} must be a {_FIELDS[key].__name__}; got {shortened(repr(value), 60)}.")
    given = {key: entry[key] for key in ("license", "source", "tags") if key in entry}
    name = entry["model"]
    if name.partition(":")[0] not in PREFIXES:
        if Path(name).suffix.lower() in LISTS:
            raise ValueError(f"{who}: a list cannot name another list; got {printable(shortened(name, 60))}.")
        if "preprocessing" in entry or "pooling" in entry:
            raise ValueError(f"{who}: a zoo has the preprocessing of its models in their model.json.")
        found = _named(entry["name"], name, base, download) if "name" in entry else _or_reason(name, base, download)
        return [dataclasses.replace(one, **given) for one in found]
    try:
        given_options = entry.get("preprocessing", {}).items()
        options: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in given_options}
        made = Preprocessing(**options) if options else None
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{who}: preprocessing: {first_line(error)}") from error
    pooling = entry.get("pooling")
    load = functools.partial(load_model, name, preprocessing=made, pooling=pooling, download=download, base=base)
    key = _key(name, base, made, pooling)
    place = _place(name, base)
    return [Candidate(entry.get("name", name), load, key=key, place=place, **({"source": name} | given))]


def _place(name: str, base: Path) -> Path | None:
    """What lies where a name with a prefix points; None for what only a hub knows."""
    place = base / Path(name.partition(":")[2]).expanduser()
    return place if place.exists() else None


def _key(name: str, base: Path, *options: Any) -> str:
    versions = map(version_of, RUNS_ON[name.partition(":")[0]])
    return " ".join([name, str(base.resolve()), *(repr(one) for one in options if one is not None), *versions])
