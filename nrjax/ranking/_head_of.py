"""A head on a ranked model: its features once more, and a ridge regression on them."""

import dataclasses
from typing import TYPE_CHECKING

from nrjax.heads import Head
from nrjax.heads._fit import head_on_features
from nrjax.models import LayerChoice, as_model
from nrjax.ranking._extraction import Extraction
from nrjax.ranking._jobs import Job
from nrjax.results import ScoredModel

if TYPE_CHECKING:
    from nrjax.ranking._plan import Plan


def head_of(plan: "Plan", scored: ScoredModel) -> Head:
    """A head on the layer that a model was ranked by.

    Raises:
      ValueError: the samples have no labels, or the model failed.
    """
    if plan.target.target.task == "clusters":
        raise ValueError("a head needs labels; this ranking was made without.")
    if scored.rank is None:
        raise ValueError(f"{scored.name} failed, so it has no head: {scored.reason}")
    layer = _layer_of(plan, scored)
    spec = dataclasses.replace(plan.extraction, layers=(layer,), probabilities=False)
    model = as_model(plan.candidates[scored.name]).pooled_by(spec.pooling)
    if plan.target.target.task == "classification":
        model = model.with_classes(plan.target.target.classes)
    extracted = Extraction(plan.target, spec)(
        Job(scored.name), len(plan.target), lambda: model, lambda samples: None, lambda widths: None
    )
    features = extracted.layers[str(layer)]
    if isinstance(features, str):
        raise ValueError(features)
    return head_on_features(model, layer, features, plan.target.target)


def _layer_of(plan: "Plan", scored: ScoredModel) -> LayerChoice:
    choices: tuple[LayerChoice, ...] = plan.extraction.layers or ()
    if scored.layer is None:  # one layer was chosen for all models
        return next(iter(choices))
    return next((choice for choice in choices if str(choice) == scored.layer), scored.layer)
