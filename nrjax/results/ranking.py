"""`Ranking`: which model to start from, with scores, failures and the settings they came from."""

import json
from typing import TYPE_CHECKING

from nrjax.results.display import as_html, as_text, draw
from nrjax.results.outcome import Outcome
from nrjax.results.tables import as_csv

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes


class Ranking(Outcome):
    """Models in order, best first, as text, table and picture; the attributes are those of `Outcome`.

    Attributes:
      models: every model, as `ScoredModel`; those that failed come last, with the reason and without a rank.
      settings: what the ranking was made with.
      about: meaning, range and direction of every score, by name.
    """

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def to_csv(self) -> str:
        """One line per model, best first, with a header; empty fields where a model failed."""
        return as_csv(self.rows())

    def to_pandas(self) -> "pandas.DataFrame":
        """One row per model, best first. Needs pandas, which nrjax does not install."""
        import pandas

        return pandas.DataFrame(self.rows())

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Scores as horizontal bars, best on top, on `ax` or a new figure; returns the axes."""
        return draw(self, ax)

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)
