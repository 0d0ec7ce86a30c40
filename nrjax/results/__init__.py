"""What came out of a ranking and how it looks. Knows nothing of how it was computed."""

from nrjax.results.outcome import TIE, ScoredModel, ScoreMeaning
from nrjax.results.ranking import Ranking

__all__ = ["TIE", "Ranking", "ScoreMeaning", "ScoredModel"]
