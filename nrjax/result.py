"""`Ranking`: which model to start from, with scores, failures and the settings they came from."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nrjax._tables import as_csv
from nrjax._version import __version__

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

# Scores closer than float32 arithmetic can tell apart (its error is below 1e-6) share a rank.
TIE = 1e-6


@dataclasses.dataclass(frozen=True)
class ScoredModel:
    """One model of a ranking.

    Attributes:
      name: the model's.
      score: in [-1, 1]; higher is better; None where the model failed.
      dims: width of its features.
      n_components: principal components used: those asked for, or fewer where there are fewer.
      solver: of the PCA, as it was in the end: `krylov` that could not be certified became
        `gram`, or `gram, float64`.
      rank: 1 is best; tied models share one; None where the model failed.
      reason: why it failed.
    """

    name: str
    score: float | None = None
    dims: int | None = None
    n_components: int | None = None
    solver: str | None = None
    rank: int | None = None
    reason: str | None = None


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Models in order, best first; those that failed come last, with the reason and without a rank.

    Attributes:
      models: every model, as `ScoredModel`.
      settings: what the ranking was made with.
    """

    models: tuple[ScoredModel, ...]
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, scored: Sequence[ScoredModel], failed: Mapping[str, str], settings: Mapping[str, Any]) -> "Ranking":
        """Orders scored models (ties keep the order they came in) and puts the failed ones last."""
        ordered: list[ScoredModel] = []
        for place, model in enumerate(sorted(scored, key=lambda m: -_score(m)), start=1):
            tied = ordered and _score(ordered[-1]) - _score(model) <= TIE
            ordered.append(dataclasses.replace(model, rank=ordered[-1].rank if tied else place))
        lost = [ScoredModel(name, reason=reason) for name, reason in failed.items()]
        return cls((*ordered, *lost), {**settings, "nrjax": __version__})

    @property
    def order(self) -> list[str]:
        """Names of the ranked models, best first."""
        return [model.name for model in self.models if model.rank is not None]

    @property
    def scores(self) -> dict[str, float]:
        """Score of every ranked model, best first."""
        return {model.name: _score(model) for model in self.models if model.rank is not None}

    @property
    def failed(self) -> dict[str, str]:
        """Reason for every model that could not be scored."""
        return {model.name: model.reason or "" for model in self.models if model.rank is None}

    @property
    def best(self) -> str:
        """Name of the first model."""
        return self.order[0]

    def tied(self, model: ScoredModel) -> bool:
        """Whether another model has the same rank."""
        return model.rank is not None and sum(other.rank == model.rank for other in self.models) > 1

    def to_dict(self) -> dict[str, Any]:
        """`{"models": [{"name", "rank", "score", ...}, ...], "settings": {...}}`, plain Python values."""
        return {"models": [dataclasses.asdict(model) for model in self.models], "settings": dict(self.settings)}

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def to_csv(self) -> str:
        """One line per model, best first, with a header; empty fields where a model failed."""
        return as_csv([dataclasses.asdict(model) for model in self.models])

    def to_pandas(self) -> "pandas.DataFrame":
        """One row per model, best first. Needs pandas, which nrjax does not install."""
        import pandas

        return pandas.DataFrame([dataclasses.asdict(model) for model in self.models])

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Scores as horizontal bars, best on top, on `ax` or a new figure; returns the axes."""
        from nrjax.display import draw

        return draw(self, ax)

    def __str__(self) -> str:
        from nrjax.display import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from nrjax.display import as_html

        return as_html(self)


def _score(model: ScoredModel) -> float:
    assert model.score is not None
    return model.score
