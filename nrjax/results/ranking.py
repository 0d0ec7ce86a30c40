"""`Ranking`: which model to start from, with scores, failures and the settings they came from."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, get_args

from nrjax._utils.paths import check_writable
from nrjax.results.display import as_html, as_text
from nrjax.results.outcome import Outcome, ScoredModel
from nrjax.results.tables import as_csv

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

    from nrjax.heads import Head

PlotKind = Literal["scores", "cost", "samples"]


class Models(Protocol):
    """The models of a ranking and their samples, to compute with once more."""

    def head(self, scored: ScoredModel) -> "Head":
        """A head on a model."""
        ...

    def by_samples(self, names: Sequence[str]) -> Mapping[int, Sequence[ScoredModel]]:
        """Models of these names on fewer samples, by their number."""
        ...


class Ranking(Outcome):
    """Models in order, best first, as text, table and picture; the attributes are those of `Outcome`.

    Attributes:
      models: every model, as `ScoredModel`; those that failed come last, with the reason and without a rank.
      settings: what the ranking was made with.
      about: meaning, range and direction of every score, by name.

    Examples:
      >>> ranking = nrjax.rank_batch(features, labels, scores=("silhouette", "probe"))
      >>> ranking.best, ranking.order[-1]
      ('F0-4', 'F5-9')
      >>> text = ranking.to_csv("ranking.csv")
    """

    _models: Models | None = None

    def with_models(self, models: Models) -> Self:
        """The same ranking, whose `head` and `plot("samples")` compute with its models."""
        return self._with(models)

    def with_settings(self, **settings: Any) -> Self:
        """The same ranking with more settings."""
        return self._with(self._models, settings={**self.settings, **settings})

    def _with(self, models: Models | None, **fields: Any) -> Self:
        ranking = dataclasses.replace(self, **fields)
        object.__setattr__(ranking, "_models", models)
        return ranking

    def head(self, name: str | None = None) -> "Head":
        """A linear head on a model, by default the first: the ridge regression behind the score `probe`.

        The model's features are computed again. For this the ranking keeps the candidates and the samples; a copy or a
        pickle of the ranking does not have them.

        Args:
          name: of the model.

        Returns:
          A `Head`, which predicts from raw samples.

        Raises:
          ValueError: a model that failed, samples without labels, or a ranking of arrays or of a file, which holds no
            models.
        """
        if self._models is None:
            raise ValueError(
                "this ranking holds no models, because it is of arrays or was read from a file: "
                "nrjax.fit_head(model, samples, labels) fits a head."
            )
        return self._models.head(self[self.best if name is None else name])

    def __getstate__(self) -> dict[str, Any]:
        """Without the models."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def __len__(self) -> int:
        """How many models there are, those that failed among them."""
        return len(self.models)

    def __iter__(self) -> Iterator[ScoredModel]:
        """The models, best first, those that failed last."""
        return iter(self.models)

    def __getitem__(self, name: str) -> ScoredModel:
        """The model of that name."""
        for model in self.models:
            if model.name == name:
                return model
        raise KeyError(
            f"the ranking has no model {name!r}; it has {', '.join(model.name for model in self.models[:10])}"
        )

    def __bool__(self) -> bool:
        """Always true: a ranking has a model that was scored."""
        return True

    def __repr__(self) -> str:
        """One line: how many models, the first of them, its score."""
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return (
            f"<Ranking of {len(self)} models by {self.settings['by']}: {self.best} {self[self.best].score:.4f}{failed}>"
        )

    def to_json(self, path: str | Path | None = None) -> str:
        """`to_dict` as JSON, also written to a file where a path is given."""
        return _written(json.dumps(self.to_dict(), indent=2, allow_nan=False), path)

    def to_csv(self, path: str | Path | None = None) -> str:
        """One line per model, best first, with a header; empty fields where a model failed. As `to_json`."""
        return _written(as_csv(self.rows()), path)

    def to_html(self, path: str | Path | None = None) -> str:
        """The table as a notebook shows it, in HTML. As `to_json`; `nrjax.write_report` writes a whole page."""
        return _written(as_html(self), path)

    def to_pandas(self) -> "pandas.DataFrame":
        """One row per model, best first. Needs pandas, which nrjax does not install."""
        import pandas

        return pandas.DataFrame(self.rows())

    def plot(self, kind: PlotKind = "scores", *, ax: "Axes | None" = None) -> "Axes":
        """Draws the ranking on `ax` or a new figure; returns the axes.

        Args:
          kind: `scores`, horizontal bars, best on top; `cost`, scores against milliseconds a sample, or parameters
            where those are not known, with the models that no other beats in both; or `samples`, scores and intervals
            of the first five models on an eighth, a quarter, half and all of the samples. For `samples` the models run
            again on half of the samples and less; the ranking must have `confidence` and its models, as for `head`.
          ax: of Matplotlib.

        Raises:
          ValueError: another kind; `cost` of features, of which no cost is known; `samples` of too few samples, of
            features, or without `confidence`.
        """
        if kind not in get_args(PlotKind):
            raise ValueError(f"plot draws {', '.join(get_args(PlotKind))}; got {kind!r}.")
        if kind == "samples":
            from nrjax.results.samples_plot import MOST, draw_by_samples

            if self._models is None or "interval" not in self.statements:
                raise ValueError("plot('samples') needs a ranking that nrjax.rank or sweep made with confidence=True.")
            return draw_by_samples(self, self._models.by_samples(self.order[:MOST]), ax)
        if kind == "cost":
            from nrjax.results.cost_plot import draw_cost

            return draw_cost(self, ax)
        from nrjax.results.bars import draw

        return draw(self, ax)

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def _written(text: str, path: str | Path | None) -> str:
    if path is not None:
        check_writable(Path(path)).write_text(text, encoding="utf-8")
    return text
