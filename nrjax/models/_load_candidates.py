"""Candidates from everywhere: names with a prefix, live objects, zoos, lists in TOML or JSON."""

import dataclasses
import functools
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nrjax._utils.messages import printable, shortened
from nrjax.datasets import Kind
from nrjax.models._candidate_lists import LISTS, Entry, read_list
from nrjax.models._candidates import Candidate, Candidates
from nrjax.models._load import load_model
from nrjax.models._many_names import expand, find_models, names_of
from nrjax.models._sources import has_prefix, prefixes, versions_of
from nrjax.models._zoo import Zoo, load_zoo


def load_candidates(models: Any, *, where: str | None = None, download: bool = False) -> Mapping[str, Any]:
    """Every way to name candidates, as a mapping from name to model; nothing is loaded yet.

    Args:
      models: a name with a prefix, a pattern (`timm:resnet*`, `timm:vit_*@pretrained`, `hf:cached`, `onnx:*.onnx`), the
        folder of a zoo or of models of frameworks, a list in TOML or JSON; a mapping from name to any of these
        or to a live model; or a sequence of them.
      where: keep those of which this holds, such as `"parameters < 10e6 and license == 'apache-2.0'"`.
      download: as for `load_model`.

    Raises:
      ValueError: what is none of these; two models of one name.
    """
    if isinstance(models, Mapping) and where is None:
        values = models.values() if isinstance(models, dict) else ()  # other mappings may compute what is looked up
        if not any(isinstance(value, (str, Path)) for value in values):
            return models  # a zoo, or live models: nothing to be done
    candidates = Candidates(_find_candidates(models, Path.cwd(), download))  # the user may change the folder later
    return candidates if where is None else candidates.where(where)


def _find_candidates(models: Any, base: Path, download: bool) -> list[Candidate]:
    """Candidates of all that `load_candidates` takes; relative paths are relative to `base`."""
    if isinstance(models, Candidates):
        return models.all()
    if isinstance(models, Zoo):
        return _candidates_of_zoo(models)
    if isinstance(models, Mapping):
        named = (_candidates_under_name(name, model, base, download) for name, model in models.items())
        return [candidate for candidates in named for candidate in candidates]
    if isinstance(models, (str, Path)):
        return _candidates_of_name(str(models), base, download)
    if not isinstance(models, Sequence):
        raise TypeError(
            "models must be a mapping, a name such as timm:resnet18, the folder of a zoo, a list (.toml, .json), or a "
            f"sequence of those; got {type(models).__name__}."
        )
    live = [model for model in models if not isinstance(model, (str, Path, Mapping))]
    if live:
        kind = type(live[0]).__name__
        raise TypeError(f"models: a live model ({kind}) needs a name: pass a mapping, {{'mine': model}}.")
    parts = [
        _find_candidates(model, base, download) if isinstance(model, Mapping) else _or_broken(model, base, download)
        for model in models
    ]
    return [candidate for candidates in parts for candidate in candidates]


def _or_broken(name: str | Path, base: Path, download: bool) -> list[Candidate]:
    """Candidates of one of several names; a wrong name becomes a broken candidate, and does not stop the others."""
    try:
        return _candidates_of_name(str(name), base, download)
    except (ValueError, OSError) as error:
        return [_broken(str(name), error)]


def _broken(name: str, error: Exception) -> Candidate:
    """A candidate that cannot be loaded, for a reason that the ranking says."""
    reason = str(error)

    def load() -> Any:
        raise ValueError(reason)

    return Candidate(name, load)


def _candidates_under_name(name: str, model: Any, base: Path, download: bool) -> list[Candidate]:
    """Candidates that the user gives a name; several are called `name/...`."""
    if not isinstance(model, (str, Path)):
        return [Candidate(name, lambda: model)]
    candidates = _or_broken(model, base, download)
    if len(candidates) == 1:
        return [dataclasses.replace(candidates[0], name=name)]
    return [dataclasses.replace(candidate, name=f"{name}/{candidate.name}") for candidate in candidates]


def _candidates_of_zoo(zoo: Zoo) -> list[Candidate]:
    candidates = []
    for name in zoo:
        fields: dict[str, Any] = {}
        try:
            info = zoo.info(name)
            size = "x".join(map(str, info.input_shape))
            tags = {"architecture": info.architecture, "input": size, **info.tags}
            fields = {"source": info.source, "license": info.license, "tags": tags}
        except ValueError as error:
            fields = {"problem": str(error)}
        candidates.append(
            Candidate(name, lambda name=name: zoo[name], key=zoo.key(name), place=zoo.path / name, **fields)
        )
    return candidates


def _candidates_of_name(name: str, base: Path, download: bool) -> list[Candidate]:
    if has_prefix(name):
        return [_candidate(each, base, download, kinds) for each, kinds in expand(name, base)]
    path = base / Path(name).expanduser()
    if path.suffix.lower() in LISTS and not path.is_dir():
        entries = (_candidates_of_entry(entry, path.parent, download) for entry in read_list(path))
        return [candidate for candidates in entries for candidate in candidates]
    if path.is_dir():
        return _candidates_of_folder(path, download)
    if ":" in name and not path.exists():
        load_model(name)  # its error lists the prefixes
    raise FileNotFoundError(
        f"Models {printable(shortened(name, 100))!r}: there is no such folder or list (.toml, .json), and it has none "
        f"of the prefixes {', '.join(f'{prefix}:' for prefix in prefixes())}."
    )


def _candidates_of_folder(path: Path, download: bool) -> list[Candidate]:
    """Candidates of a folder of models: a zoo, directories and files of frameworks, or both."""
    named, in_zoo, others = find_models(path)
    if not named:
        return _candidates_of_zoo(load_zoo(path))
    if others:
        listed = printable(", ".join(others[:5]))
        warnings.warn(f"{path}: no model that is known in {listed}; left out.", RuntimeWarning, stacklevel=2)
    candidates = [dataclasses.replace(_candidate(full, Path(), download), name=name) for name, full in named.items()]
    return [*candidates, *_candidates_of_zoo(Zoo(path, in_zoo))]


def _candidate(
    name: str, base: Path, download: bool, kinds: tuple[Kind, ...] = (), **options: Any
) -> Candidate:  # fmt: skip
    """The candidate of one name with a prefix; `options` are those of `load_model`."""
    prefix, _, where = name.partition(":")
    listing = names_of(prefix)
    look = {} if listing is None else {"look": functools.partial(listing.look_up, where, base)}
    return Candidate(
        name, functools.partial(load_model, name, base=base, download=download, **options), source=name,
        key=_key(name, base, *options.values()), place=_place(name, base), kinds=kinds, **look,
    )  # fmt: skip


def _candidates_of_entry(entry: Entry, base: Path, download: bool) -> list[Candidate]:
    if entry.has_prefix:
        options = {"preprocessing": entry.preprocessing, "pooling": entry.pooling}
        try:
            found = [_candidate(each, base, download, kinds, **options) for each, kinds in expand(entry.model, base)]
        except (ValueError, OSError) as error:
            found = [_broken(entry.model, error)]
        candidates = [dataclasses.replace(candidate, **entry.fields) for candidate in found]
        if entry.name is None:
            return candidates
        many = len(candidates) > 1
        return [
            dataclasses.replace(candidate, name=f"{entry.name}/{candidate.name}" if many else entry.name)
            for candidate in candidates
        ]
    if entry.name is None:
        candidates = _or_broken(entry.model, base, download)
    else:
        candidates = _candidates_under_name(entry.name, entry.model, base, download)
    return [dataclasses.replace(candidate, **entry.fields) for candidate in candidates]


def _place(name: str, base: Path) -> Path | None:
    """The file or folder of a name with a prefix; None for a name that only a hub knows."""
    place = base / Path(name.partition(":")[2]).expanduser()
    return place if place.exists() else None


def _key(name: str, base: Path, *options: Any) -> str:
    """See `Candidate.key`; empty where the code of a plug-in cannot be read."""
    try:
        versions = versions_of(name.partition(":")[0])
    except ValueError:
        return ""
    return " ".join([name, str(base.resolve()), *(repr(option) for option in options if option is not None), *versions])
