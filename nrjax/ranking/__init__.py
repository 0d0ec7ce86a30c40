"""Rankings of models: load each, extract features, score them. Joins the loading wing and the scoring wing."""

from nrjax.ranking._best_layer import best_layers
from nrjax.ranking._cost import unless_left_out
from nrjax.ranking._extraction import Extraction, rows_of
from nrjax.ranking._jobs import CandidateResult, ExtractionSpec, Job, Listener, ModelRecord, RoundSpec, state_of
from nrjax.ranking._plan import Plan
from nrjax.ranking._progress import Progress, progress_of
from nrjax.ranking._rank import rank
from nrjax.ranking._runner import CandidateRunner
from nrjax.ranking._samples import LabelledSamples

__all__ = [
    "CandidateResult",
    "CandidateRunner",
    "Extraction",
    "ExtractionSpec",
    "Job",
    "LabelledSamples",
    "Listener",
    "ModelRecord",
    "Plan",
    "Progress",
    "RoundSpec",
    "best_layers",
    "progress_of",
    "rank",
    "rows_of",
    "state_of",
    "unless_left_out",
]
