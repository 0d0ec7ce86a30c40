"""Candidates from everywhere: names with a prefix, live objects, zoos, lists in TOML or JSON."""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nrjax._utils.messages import printable, shortened
from nrjax.datasets import Kind, kind_of_file
from nrjax.models._candidate_lists import LISTS, Entry, read_list
from nrjax.models._candidates import Candidate, Candidates
from nrjax.models._load import load_applicable, load_model
from nrjax.models._many_names import expand, find_models, names_of, prefix_of
from nrjax.models._sources import has_prefix, prefixes, versions_of
from nrjax.models._zoo import Zoo, load_zoo

Options = Mapping[str, Any]  # of `load_applicable`
Named = str | Path | Mapping[str, Any]
AnyModels = Named | Sequence[Named]  # what `rank` takes


def load_candidates(
    models: AnyModels, *, where: str | None = None, image_size: int | tuple[int, int] | None = None,
    device: str | None = None, builder: str | Callable[[], Any] | None = None, download: bool = False,
) -> Mapping[str, Any]:  # fmt: skip
    """A mapping from name to model, for candidates that are named in any way. No model is loaded yet.

    Args:
      models: a name with a prefix, a pattern (`timm:resnet*`, `timm:vit_*@pretrained`, `hf:cached`, `onnx:*.onnx`), the
        folder of a zoo or of models of frameworks, a list in TOML or JSON; a mapping from name to any of these
        or to a live model; or a sequence of them.
      where: condition that selects candidates, such as `"parameters < 10e6 and license == 'apache-2.0'"`, as for
        `rank`. What it says of `ms` is looked at when the candidates are ranked.
      image_size: as for `load_model`, for models that take it; and so are `device`, `builder` and `download`. Models in
        memory do not change.
      device: where the models run.
      builder: for weights without a network.
      download: fetch files that are not in the local cache from the hub.

    Raises:
      ValueError: an argument of another kind; two models with one name.

    Examples:
      >>> candidates = nrjax.load_candidates(nrjax.demo.ZOO, where="parameters < 1e6")
      >>> sorted(candidates)
      ['C0-4', 'C10', 'C5-9', 'F0-4', 'F10', 'F5-9', 'M0-4', 'M10', 'M5-9']
    """
    options = {"image_size": image_size, "device": device, "builder": builder}
    options = {name: value for name, value in options.items() if value is not None}
    if isinstance(models, Candidates) and options:
        raise ValueError(f"{', '.join(options)}: these candidates are named already; pass it to load_candidates.")
    options["download"] = download
    if isinstance(models, Mapping) and where is None and not (isinstance(models, Zoo) and device is not None):
        values = models.values() if isinstance(models, dict) else ()  # other mappings may compute what is looked up
        if not any(isinstance(value, (str, Path)) for value in values):
            return models  # a zoo, or live models: nothing to be done
    when_run = models.when_run if isinstance(models, Candidates) else ""
    candidates = Candidates(_find_candidates(models, Path.cwd(), options), when_run)  # the user may change the folder
    return candidates if where is None else candidates.where(where)


def _find_candidates(models: AnyModels, base: Path, options: Options) -> list[Candidate]:
    """Candidates of all that `load_candidates` takes; relative paths are relative to `base`."""
    if isinstance(models, Candidates):
        return models.all()
    if isinstance(models, Zoo):
        return _candidates_of_zoo(models, options)
    if isinstance(models, Mapping):
        named = (_candidates_under_name(name, model, base, options) for name, model in models.items())
        return [candidate for candidates in named for candidate in candidates]
    if isinstance(models, (str, Path)):
        return _candidates_of_name(str(models), base, options)
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
        _find_candidates(model, base, options) if isinstance(model, Mapping) else _or_broken(model, base, options)
        for model in models
    ]
    return [candidate for candidates in parts for candidate in candidates]


def _or_broken(name: str | Path, base: Path, options: Options) -> list[Candidate]:
    """Candidates of one of several names; a wrong name becomes a broken candidate, and does not stop the others."""
    try:
        return _candidates_of_name(str(name), base, options)
    except (ValueError, OSError) as error:
        return [_broken(str(name), error)]


def _broken(name: str, error: Exception) -> Candidate:
    """A candidate that cannot be loaded, for a reason that the ranking says."""
    reason = str(error)

    def load() -> Any:
        raise ValueError(reason)

    return Candidate(name, load)


def _candidates_under_name(name: str, model: object, base: Path, options: Options) -> list[Candidate]:
    """Candidates that the user gives a name; several are called `name/...`."""
    if not isinstance(model, (str, Path)):
        return [Candidate(name, lambda: model)]
    candidates = _or_broken(model, base, options)
    if len(candidates) == 1:
        return [dataclasses.replace(candidates[0], name=name)]
    return [dataclasses.replace(candidate, name=f"{name}/{candidate.name}") for candidate in candidates]


def _candidates_of_zoo(zoo: Zoo, options: Options) -> list[Candidate]:
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
        load = functools.partial(_from_zoo, zoo, name, options.get("device"))
        candidates.append(Candidate(name, load, key=zoo.key(name), place=zoo.path / name, **fields))
    return candidates


def _from_zoo(zoo: Zoo, name: str, device: str | None) -> Any:
    model = zoo[name]
    if device is not None:
        model.move(device)
    return model


def _candidates_of_name(name: str, base: Path, options: Options) -> list[Candidate]:
    if has_prefix(name):
        return [_candidate(each, base, options, kinds) for each, kinds in expand(name, base)]
    path = base / Path(name).expanduser()
    if path.suffix.lower() in LISTS and not path.is_dir():
        entries = (_candidates_of_entry(entry, path.parent, options) for entry in read_list(path))
        return [candidate for candidates in entries for candidate in candidates]
    if path.exists() and (prefix := prefix_of(path)) is not None:
        return [dataclasses.replace(_candidate(f"{prefix}:{path}", Path(), options), name=name)]
    if path.is_dir():
        return _candidates_of_folder(path, options)
    if ":" in name and not path.exists():
        load_model(name)  # its error lists the prefixes
    raise FileNotFoundError(
        f"Models {printable(shortened(name, 100))!r}: there is no such folder or list (.toml, .json), and it has none "
        f"of the prefixes {', '.join(f'{prefix}:' for prefix in prefixes())}."
    )


def _candidates_of_folder(path: Path, options: Options) -> list[Candidate]:
    """Candidates of a folder of models: a zoo, directories and files of frameworks, or both."""
    named, in_zoo, others = find_models(path)
    if not named and not in_zoo and any(kind_of_file(each.name) for part in ("*", "*/*") for each in path.glob(part)):
        raise ValueError(
            f"Models {printable(str(path))!r}: there are images or recordings, and no models. As labelled data it is "
            "the second argument, on the command line --data."
        )
    if not named:
        return _candidates_of_zoo(load_zoo(path), options)
    if others:
        listed = printable(", ".join(others[:5]))
        warnings.warn(f"{path}: no model that is known in {listed}; left out.", RuntimeWarning, stacklevel=2)
    candidates = [dataclasses.replace(_candidate(full, Path(), options), name=name) for name, full in named.items()]
    return [*candidates, *_candidates_of_zoo(Zoo(path, in_zoo), options)]


def _candidate(
    name: str, base: Path, options: Options, kinds: tuple[Kind, ...] = (), **own: Any
) -> Candidate:  # fmt: skip
    """The candidate of one name with a prefix; `own` are options of `load_model` that are meant for it alone."""
    prefix, _, where = name.partition(":")
    listing = names_of(prefix)
    look: dict[str, Any] = {} if listing is None else {"look": functools.partial(listing.look_up, where, base)}
    return Candidate(
        name, functools.partial(load_applicable, name, options, base=base, **own), source=name,
        key=_key(name, base, options, *own.values()), place=_place(name, base), kinds=kinds, **look,
    )  # fmt: skip


def _candidates_of_entry(entry: Entry, base: Path, options: Options) -> list[Candidate]:
    if entry.has_prefix:
        own = {"preprocessing": entry.preprocessing, "pooling": entry.pooling}
        try:
            found = [_candidate(each, base, options, kinds, **own) for each, kinds in expand(entry.model, base)]
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
        candidates = _or_broken(entry.model, base, options)
    else:
        candidates = _candidates_under_name(entry.name, entry.model, base, options)
    return [dataclasses.replace(candidate, **entry.fields) for candidate in candidates]


def _place(name: str, base: Path) -> Path | None:
    """The file or folder of a name with a prefix; None for a name that only a hub knows."""
    place = base / Path(name.partition(":")[2]).expanduser()
    return place if place.exists() else None


def _key(name: str, base: Path, options: Options, *own: object) -> str:
    """See `Candidate.key`; empty where code decides that cannot be read, or that a builder has."""
    if "builder" in options:
        return ""
    try:
        versions = versions_of(name.partition(":")[0])
    except ValueError:
        return ""
    given = [repr(option) for option in (*own, options.get("image_size")) if option is not None]
    return " ".join([name, str(base.resolve()), *given, *versions])
