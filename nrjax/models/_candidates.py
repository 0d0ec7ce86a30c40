"""Models that may be chosen, by name, with what is known of them before they are loaded."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nrjax.datasets import Kind
from nrjax.models._live import as_model
from nrjax.models._model import SAMPLES_OF, Description, Model
from nrjax.models._where import WHEN_RUN, names_in, parse_where, split_where

FIELDS = ("name", "source", "license", "parameters", "bytes", "family", "architecture")  # a condition may name them
LOADING = ("parameters", "bytes")  # fields that are known of a model when it is loaded


def _nothing_more(*, sizes: bool) -> dict[str, Any]:
    """Of a candidate about which only loading tells more."""
    return {}


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One model that may be chosen, not loaded yet.

    Attributes:
      name: in the ranking.
      load: returns what `as_model` takes.
      source: where it comes from.
      license: of its weights.
      tags: anything else worth knowing.
      measured: fields that were read off the model when it had to be loaded.
      problem: why nothing is known of it.
      key: where it lies and how it is loaded: equal keys and unchanged files give equal models. Empty where it is in
        no file.
      place: its file or folder, where it has one.
      look: what can be known without its weights: fields by name, with `sizes` also `parameters` and `bytes`.
      kinds: of samples that it is a candidate for; empty for all.
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
    look: Callable[..., Mapping[str, Any]] = _nothing_more
    kinds: tuple[Kind, ...] = ()

    def looked_up(self, *, sizes: bool) -> "Candidate":
        """The candidate with what can be known of it without its weights."""
        found = {key: value for key, value in self.look(sizes=sizes).items() if value not in (None, "", ())}
        return dataclasses.replace(self, measured={**self.measured, **found})

    @property
    def known(self) -> dict[str, Any]:
        """Fields that are known without loading it: name, source, license, tags."""
        fields = {"name": self.name, "source": self.source, "license": self.license}
        return {**self.measured, **{key: value for key, value in fields.items() if value}, **self.tags}


class Candidates(Mapping[str, Any]):
    """Candidates by name; each is loaded anew when it is looked up, and not kept.

    Args:
      candidates: in order.
      when_run: a condition that can be told only when they run, as for `where`; empty for none.
    """

    def __init__(self, candidates: Sequence[Candidate], when_run: str = ""):
        self.when_run = when_run
        self._candidates = {candidate.name: candidate for candidate in candidates}
        if len(self._candidates) < len(candidates):
            names = [candidate.name for candidate in candidates]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"Two models are called {', '.join(twice[:5])}; give them names, as in a mapping.")

    def __getitem__(self, name: str) -> Model:
        candidate = self._candidates[name]
        model = as_model(candidate.load())
        tags = {**model.description.tags, **candidate.tags}
        fields = {"source": candidate.source, "license": candidate.license, "tags": tags}
        model.description = dataclasses.replace(
            model.description, **{key: value for key, value in fields.items() if value}
        )
        return model

    def __iter__(self) -> Iterator[str]:
        return iter(self._candidates)

    def __len__(self) -> int:
        return len(self._candidates)

    def known(self, name: str, *, look: bool = False) -> dict[str, Any]:
        """Fields that are known of a candidate without loading it. Raises ValueError where none are.

        Args:
          name: of the candidate.
          look: read configurations and headers of files, too.
        """
        candidate = self._candidates[name]
        if candidate.problem:
            raise ValueError(candidate.problem)
        return (candidate.looked_up(sizes=True) if look else candidate).known

    def taking(self, kind: Kind) -> "Candidates":
        """The candidates that are for samples of a kind. Raises ValueError where there are none."""
        chosen = [candidate for candidate in self._candidates.values() if kind in (candidate.kinds or (kind,))]
        if self._candidates and not chosen:
            raise ValueError(f"none of {len(self)} models takes {SAMPLES_OF[kind]}: {', '.join(list(self)[:5])}.")
        return Candidates(chosen, self.when_run)

    def key(self, name: str) -> str:
        """The `key` of a candidate: equal keys and unchanged files give equal models; empty where it is in no file."""
        return self._candidates[name].key

    def place(self, name: str) -> Path | None:
        """The file or folder of a candidate, where it has one."""
        return self._candidates[name].place

    def without(self, names: Collection[str]) -> "Candidates":
        """All candidates but these."""
        kept = [candidate for name, candidate in self._candidates.items() if name not in names]
        return Candidates(kept, self.when_run)

    def all(self) -> list[Candidate]:
        """All candidates in order."""
        return list(self._candidates.values())

    def where(self, expression: str) -> "Candidates":
        """The candidates for which an expression holds, and those of which nothing is known because they are broken.

        Models are loaded only where the expression needs a size that neither configurations nor files tell. What is
        said of `ms` becomes `when_run`.

        Raises:
          ValueError: it is no expression, names a field that no candidate has, or holds for no candidate.
        """
        expression, later = split_where(expression)
        when_run = " and ".join(filter(None, [self.when_run, later]))
        if not expression:
            return Candidates(self.all(), when_run)
        holds, names = parse_where(expression), names_in(expression)
        sizes = names & set(LOADING)
        chosen, fields = [], {*FIELDS}
        for candidate in self._candidates.values():
            fields |= {*candidate.known}
            if names - set(candidate.known):
                try:
                    candidate = candidate.looked_up(sizes=bool(sizes))
                    candidate = self._measure(candidate) if sizes - set(candidate.known) else candidate
                except Exception:  # it stays, and the ranking says why it cannot be loaded
                    chosen.append(candidate)
                    continue
            fields |= {*candidate.known}
            if candidate.problem or holds(candidate.known):
                chosen.append(candidate)
        if unknown := sorted(names - fields):
            raise ValueError(
                f"where: no model has a field {unknown[0]!r}; there are {', '.join(sorted(fields))}, {WHEN_RUN}. Text "
                f"is written in quotes, '{unknown[0]}'."
            )
        if not chosen:
            raise ValueError(f"where: {expression!r} holds of none of {len(self)} models.")
        return Candidates(chosen, when_run)

    def why_left_out(self, name: str, description: Description, ms: float | None) -> str:
        """Why `when_run` leaves out a candidate that takes `ms`; empty where it does not, or where `ms` is unknown."""
        if not self.when_run or ms is None:
            return ""
        described = {key: getattr(description, key) for key in ("source", "license", *LOADING)}
        known = {**described, **description.tags, **self._candidates[name].known, "name": name, WHEN_RUN: ms}
        if parse_where(self.when_run)(known):
            return ""
        return f"it takes {ms:.3g} ms a sample on this machine, and where asks for {self.when_run}."

    def _measure(self, candidate: Candidate) -> Candidate:
        """Loads a candidate to learn all that can be known of it."""
        description = self[candidate.name].description
        fields = {key: getattr(description, key) for key in ("source", "license", *LOADING)} | dict(description.tags)
        known = {key: value for key, value in fields.items() if value not in (None, "")}
        return dataclasses.replace(candidate, measured=known)
