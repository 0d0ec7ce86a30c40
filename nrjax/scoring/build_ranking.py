"""From the scores of models to a ranking."""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np

from nrjax.results import TIE, Ranking, ScoredModel
from nrjax.scoring.confidence import LEVEL, confidence, possible_interval, samples_to_tell
from nrjax.scoring.mean_rank import add_mean_rank
from nrjax.scoring.model_scores import ModelScores, Request
from nrjax.scoring.near_best import p_near_best
from nrjax.scoring.score_kind import WORDS, ScoreKind
from nrjax.scoring.scores import undefined
from nrjax.targets import Target

Key = TypeVar("Key")  # of a model, or of its layer

ONLY_CLASSES = "P(within 1 point) is about the accuracy of retrained heads, so it is left out: the labels are {}."


def split_failed(
    outcomes: Mapping[Key, ModelScores | str], request: Request
) -> tuple[dict[Key, ModelScores], dict[Key, str]]:
    """Units that have a score to order by, once all are known, and the reasons of those that have none."""
    evaluated = {key: model for key, model in outcomes.items() if not isinstance(model, str)}
    failed = {key: model for key, model in outcomes.items() if isinstance(model, str)}
    add_mean_rank(evaluated, request.scores)
    by = request.by.name
    failed |= {key: f"{by}: {model.missing[by]}" for key, model in evaluated.items() if by in model.missing}
    return {key: model for key, model in evaluated.items() if by in model.values}, failed


def build_ranking(
    names: Sequence[str],
    evaluated: Mapping[str, ModelScores],
    failed: Mapping[str, str],
    request: Request,
    made_with: Mapping[str, Any],
    target: Target,
    fields: Mapping[str, Mapping[str, Any]] | None = None,
) -> Ranking:
    """The ranking of evaluated models by a target; `fields` has more fields of `ScoredModel` by model.

    `made_with` goes into the settings, where it should hold `target.made_with`.
    """
    if not evaluated:
        raise ValueError(f"None of the models could be scored. {_by_reason(failed)}")
    by = request.by.of(target)
    sign = by.sign
    kinds = [kind.of(target) for kind in request.scores]
    undefined_here = _undefined_for_all(kinds, evaluated, target)
    order = sorted(
        (name for name in names if name in evaluated), key=lambda name: -sign * evaluated[name].values[by.name]
    )
    models = {
        name: ScoredModel(
            name, model.values[by.name], model.dims, model.n_components, model.solver, scores=model.values,
            missing={score: why for score, why in model.missing.items() if undefined_here.get(score) != why},
            uncertain=model.uncertain,
            by_class={name: tuple(means.tolist()) for name, means in model.by_class.items()},
            confused={name: tuple(pairs) for name, pairs in model.confused.items()},
            **(fields or {}).get(name, {}),
        ) for name, model in evaluated.items()
    }  # fmt: skip
    to_tell: dict[str, Any] = {}
    if request.confidence and by.reads != "scores":
        for name, statements in _statements(evaluated, order, by, target).items():
            behind = statements.pop("behind")
            models[name] = dataclasses.replace(models[name], **statements)
            if order[1:2] == [name] and statements["group"] == 1:
                to_tell = {"samples_to_tell": samples_to_tell(len(target), behind)}
    if request.confidence:
        for name, probability in (_agreement(evaluated) if target.task == "classification" else {}).items():
            models[name] = dataclasses.replace(models[name], p_near_best=probability)
    settings = {
        **dataclasses.asdict(request.settings), "scores": [kind.name for kind in request.scores], "by": by.name,
        "confidence": LEVEL if request.confidence else None, **made_with, **to_tell, "backend": jax.default_backend(),
    }  # fmt: skip
    settings |= _chances(kinds, target) | ({"undefined": undefined_here} if undefined_here else {})
    remarks = list(target.remarks)
    if (
        request.confidence
        and target.task in WORDS
        and target.task != "classification"
        and "probe" in settings["scores"]
    ):
        remarks.append(ONLY_CLASSES.format(WORDS[target.task]))
    settings |= {"remarks": remarks} if remarks else {}
    about = {kind.name: kind.about(target.n_classes) for kind in kinds}
    lost = {name: failed[name] for name in names if name in failed}
    return Ranking.of([models[name] for name in order], lost, settings, about, target.classes)


def _statements(
    evaluated: Mapping[str, ModelScores], order: Sequence[str], by: ScoreKind, target: Target
) -> dict[str, dict[str, Any]]:
    """How sure the order is, as fields of `ScoredModel`; of a model whose influences are not known nothing is said."""
    ordered = [evaluated[name] for name in order]
    values = by.sign * np.array([model.values[by.name] for model in ordered])
    biases = by.sign * np.array([model.bias for model in ordered])
    influences = by.sign * np.stack([np.asarray(model.influences[by.name], np.float64) for model in ordered])
    known = np.isfinite(influences).all(axis=1) & np.isfinite(biases)
    influences[~known], biases[~known] = 0, np.mean(biases[known]) if known.any() else 0
    learned = target.n_classes if by.name == "silhouette" and target.task == "classification" else 0
    statements = {}
    for name, model, sure, is_known in zip(
        order, ordered, confidence(values, biases, influences, TIE, learned=learned), known, strict=True
    ):
        if is_known:
            low, high = sorted(by.sign * bound for bound in sure.interval)
            interval = possible_interval(
                (low, high), model.hits.get(by.name), model.values[by.name], by.bounds(target.n_classes)
            )
            statements[name] = {
                "interval": interval, "p_first": sure.p_first, "group": sure.group, "behind": sure.behind
            }  # fmt: skip
    return statements


def _undefined_for_all(
    kinds: Sequence[ScoreKind], evaluated: Mapping[str, ModelScores], target: Target
) -> dict[str, str]:
    """Scores that mean nothing for the target, for the same reason at any number of dims, and that no model has."""
    reasons = {}
    for kind in kinds:
        reason, other = (undefined(kind, target, (len(target), dims)) for dims in (1, 4))
        if reason and reason == other and not any(kind.name in model.values for model in evaluated.values()):
            reasons[kind.name] = reason
    return reasons


def _chances(kinds: Sequence[ScoreKind], target: Target) -> dict[str, Any]:
    """The largest class's share, and the value of every score that it is known of where features say nothing."""
    if target.task == "clusters":
        return {}
    shares = target.counts / len(target)
    chances = {kind.name: kind.chance(shares) for kind in kinds if kind.chance is not None and kind.task == target.task}
    return ({} if target.majority is None else {"majority": target.majority}) | {"chance": chances}


def _agreement(evaluated: Mapping[str, ModelScores]) -> dict[str, float]:
    """Of the models that have a probe of classes and influences on it."""
    probed = {
        name: model for name, model in evaluated.items() if np.isfinite(model.influences.get("probe", np.nan)).all()
    }
    if not probed:
        return {}
    accuracies = np.array([model.values["probe"] for model in probed.values()])
    influences = np.stack([np.asarray(model.influences["probe"], np.float64) for model in probed.values()])
    return dict(zip(probed, p_near_best(accuracies, influences).tolist(), strict=True))


def _by_reason(failed: Mapping[str, str]) -> str:
    """Every reason once, with the models it holds for."""
    names: dict[str, list[str]] = defaultdict(list)
    for name, reason in failed.items():
        names[reason].append(name)
    return " ".join(f"{', '.join(those)}: {reason}" for reason, those in names.items())
