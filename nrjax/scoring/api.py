"""From arrays to an order: `rank_batch` and `score_batch`."""

import dataclasses
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from nrjax import kernels
from nrjax._utils.arrays import AnyArray, Array
from nrjax._utils.jax_config import neutral_config
from nrjax._utils.messages import first_line
from nrjax.kernels.error_bounds import TOLERANCE
from nrjax.labels import check_same_order
from nrjax.results import Ranking
from nrjax.scoring.build_ranking import build_ranking, split_failed
from nrjax.scoring.checks import check_features, check_probabilities
from nrjax.scoring.confidence import LEVEL
from nrjax.scoring.defaults import default_scores
from nrjax.scoring.model_features import check_shape, check_stack, each_checked, named_models
from nrjax.scoring.model_scores import ModelScores, Request
from nrjax.scoring.rounding import working_dtype
from nrjax.scoring.scorer import ModelScorer
from nrjax.scoring.scores import check_labelled, check_scores, check_task
from nrjax.scoring.settings import check_settings, components_of, encode_labels
from nrjax.scoring.sharding import check_mesh, score_on_mesh
from nrjax.scoring.silhouette_programs import Task
from nrjax.scoring.silhouettes import score_arrays
from nrjax.targets import Target, TaskName


def rank_batch(
    features: Mapping[str, AnyArray] | AnyArray,
    labels: Iterable[object] | None,
    *,
    task: TaskName | None = None,
    groups: Iterable[object] | None = None,
    n_components: int = 10,
    distance: kernels.Distance = "cosine",
    definition: kernels.Definition = "rousseeuw",
    solver: kernels.Solver = "auto",
    method: kernels.Method = "auto",
    block_size: int | None = None,
    tolerance: float = TOLERANCE,
    scores: str | Sequence[str] | None = None,
    by: str | None = None,
    confidence: bool = False,
    probabilities: Mapping[str, AnyArray] | None = None,
    n_clusters: int | None = None,
) -> Ranking:
    """Ranks models by the neuralRank score of their features, or by another score; best first.

    Args:
      features: model name to features `[samples, dims]` (widths may differ), or one array
        `[models, samples, dims]` whose models are then called "0", "1", ... NumPy, JAX, or anything
        with `__array__` or DLPack; integers and low-precision floats are computed in float32. A mapping
        is read one model at a time, so it may compute features on access. Of a frame a column that numbers the rows
        is left out, with a warning; frames, labels and groups of pandas must have their index in one order.
      labels: one per sample: a class, of any type; a number, or several, `[samples, outputs]`; or several labels, a
        list or set of each sample or a matrix of 0 and 1. None ranks by how well the features cluster, which says far
        less.
      task: `classification`, `regression` (numbers) or `multilabel`. None finds it from the labels, and raises an error
        that names both tasks if two are possible.
      groups: one per sample, such as the patient, the video, the author or the picture that a copy is of. Scores that
        leave a sample out (`probe`, `knn`, and those made of them) then leave out its group, and `confidence` draws
        groups. Without groups, a remark says if many samples have an equal row.
      n_components: principal components kept. A model that has fewer uses those, and the result says so.
      distance: of the silhouette: `cosine` (the paper's), `euclidean` or `sqeuclidean`.
      definition: `rousseeuw` (the paper's tables) or `centroid` (its Eq. 4).
      solver: of the PCA: `auto`, `svd`, `gram` or `krylov`, see `nrjax.kernels.pca`. Where `krylov` cannot
        certify its result the model is scored with `gram`, and where `gram` cannot in float32 (the last
        component kept and the next are as good as tied) with `gram` in float64; the result says so.
      method: of the silhouette: `auto`, `linear` or `blockwise`.
      block_size: rows at once in the silhouette; None chooses.
      tolerance: largest error of a silhouette, from 1e-6 to 1e-3 (default 1e-5); coarser is faster. It is part of the
        result's settings. Scores of different tolerances may differ by as much as the coarser one.
      scores: to compute, of `nrjax.available_scores()`: `silhouette` (the default; the paper's, the only one that the
        settings above concern), `probe`, `knn`, `balanced_probe`, `balanced_knn`, `average_precision` (of the rarer of
        two classes), `logme`, `h_score`, `regularized_h_score`, `transrate`, `gbc`, `leep`, `nce`, `mean_rank` (the
        mean place by all the others asked for), and your own (`nrjax.register_score`); without labels `clusters` and
        `stability`. Of numbers and of several labels there are `probe` (the default), `knn`, `logme` and `mean_rank`,
        of numbers also `linear_mse`, and of pairs of texts, whose features are `[u, v, abs(u - v), u * v]`,
        `similarity` and `similarity_pearson`, the correlation of the cosine of u and v with the numbers.
        Scores share common computations. The silhouette alone finds a good first choice among networks of one kind. If
        the candidates are of different kinds (raw pixels, other sizes and families), ask for `probe` too, as
        `nrjax.rank` does.
      by: the score to order by; None takes the first.
      confidence: compute how sure the order is: an interval for each score; the probability that each model comes
        first by the score that orders (not the probability that it is the best model); and which models the samples
        cannot separate. For the silhouette these statements are about many more samples of the same kind. There its
        value is higher if classes are hard to separate, and its interval is shifted by that. For the other scores
        they are about as many new samples. The silhouette, and accuracies of 1,000 samples or more, need little time,
        because the influence of each sample is known. Other scores are computed again for parts of the samples, 20
        times (accuracies of fewer samples: 32 halves). With `probe` among the scores there is also the probability
        that a head retrained on the model is within one point of accuracy of the best candidate's. For an order by
        `mean_rank` there is only that probability.
      probabilities: model name to the probabilities `[samples, source_classes]` of its own classes, which
        `leep` and `nce` read.
      n_clusters: without labels, how many clusters to look for; None takes for each model the number whose clusters
        are most apart.

    Returns:
      A `Ranking`. If another score than `by` is not defined for a model, or is not finite, the ranking says so and
      leaves it out. Models whose features cannot be scored are listed last, with the reason. A model's score does not
      depend on the other models, except for `mean_rank`. On accelerators the models of a batch iterate together, and
      scores may change by less than `tolerance`.

    Raises:
      ValueError: labels or settings that fit no model, labels that could be of two tasks, groups that are missing or
        that hold a class each, `confidence` with fewer than 20 samples or 8 groups, an empty mapping, or no model that
        can be scored.
      TypeError: a setting or a model name of the wrong type.

    Examples:
      >>> ranking = nrjax.rank_batch({"F10": features["F10"], "C10": features["C10"]}, labels)
      >>> ranking.order
      ['F10', 'C10']
      >>> round(ranking["F10"].score, 2)
      0.49

    Source: Algorithm 1 of the neuralRank paper; `PCA(n_components)` then
    `silhouette_score(metric="cosine")` of scikit-learn.
    """
    if labels is None and (task is not None or groups is not None):
        raise ValueError("task and groups need labels; leave them out, or pass labels.")
    target = Target.unlabelled(0) if labels is None else Target.of(labels, task=task, groups=groups)
    request = check_request(
        n_components=n_components, distance=distance, definition=definition, solver=solver, method=method,
        block_size=block_size, tolerance=tolerance, scores=default_scores(target) if scores is None else scores, by=by,
        confidence=confidence,
    )  # fmt: skip
    clusters = check_labelled(request.scores, labels, n_clusters)
    models = named_models(features)
    if clusters is not None:
        target = Target.unlabelled(len(models[next(iter(models))]), clusters)
    check_task(request.by, target)
    probabilities = {} if probabilities is None else probabilities
    units = (
        (name, checked, _probabilities(probabilities, name, len(target), labels))
        for name, checked in each_checked(models, len(target), {"labels": labels, "groups": groups})
    )
    evaluated, failed = split_failed(dict(evaluate(units, target, request, _shapes(features))), request)
    return build_ranking(list(models), evaluated, failed, request, target.made_with, target)


def _shapes(features: Any) -> Iterator[tuple[tuple[int, ...], np.dtype]]:
    """Of arrays that are there; another mapping than a `dict` may compute them on access."""
    for array in features.values() if type(features) is dict else features[:1] if hasattr(features, "shape") else ():
        if hasattr(array, "shape") and getattr(getattr(array, "dtype", None), "kind", None) in tuple("fiub"):
            yield array.shape, array.dtype


def _probabilities(given: Mapping[str, AnyArray], name: str, samples: int, labels: object) -> Array | str | None:
    """A model's probabilities, checked; None where there are none, or what is wrong with them."""
    try:
        if name not in given:
            return None
        probabilities = given[name]
        check_same_order(labels, probabilities, "probabilities")
        return check_probabilities("its probabilities", probabilities, samples)
    except (ValueError, TypeError, OSError) as error:
        return str(error)
    except Exception as error:  # a mapping may be anybody's
        return f"{type(error).__name__}: {first_line(error)}"


def check_request(
    *, scores: str | Sequence[str] = ("silhouette",), by: str | None = None, confidence: bool = False, **settings: Any
) -> Request:  # fmt: skip
    """What the options of `rank_batch` ask for. Raises TypeError or ValueError with the valid ones."""
    if not isinstance(confidence, (bool, np.bool_)):
        raise TypeError(
            f"confidence must be True or False; got {confidence!r}. The intervals of True hold with probability "
            f"{LEVEL:g}."
        )
    return Request(check_settings(**settings), *check_scores(scores, by), bool(confidence))


def evaluate(
    units: Iterable[tuple[Hashable, Array | str, Array | str | None]],
    target: Target,
    request: Request,
    shapes: Iterable[tuple[tuple[int, ...], np.dtype]] = (),
) -> Iterator[tuple[Any, ModelScores | str]]:
    """What comes out for units, which are models or their layers, as soon as it is known; or why nothing does.

    Args:
      units: key, checked features and probabilities, or the reason why there are none.
      target: of the samples, as their door has checked it.
      request: what to compute.
      shapes: of features that will come, and their types: what they need is compiled meanwhile.
    """
    scorer = ModelScorer(target, request)
    for shape, dtype in shapes:
        scorer.expect(shape, dtype)
    for key, features, probabilities in units:
        if isinstance(features, str):
            yield key, features
        else:
            scorer.add(key, features, probabilities)
            yield from scorer.ready()
    yield from scorer.finish()


@neutral_config()
def score_batch(
    features: AnyArray,
    labels: Iterable[object],
    *,
    n_components: int = 10,
    distance: kernels.Distance = "cosine",
    definition: kernels.Definition = "rousseeuw",
    solver: kernels.Solver = "auto",
    method: kernels.Method = "auto",
    block_size: int | None = None,
    tolerance: float = TOLERANCE,
    mesh: Mesh | None = None,
) -> jax.Array:
    """neuralRank scores of stacked models, by one compiled program; each in [-1, 1], higher is better.

    Args:
      features: `[models, samples, dims]`.
      labels: one per sample, of any type, shared by the models.
      n_components: principal components kept, or `min(samples - 1, dims)` where there are fewer.
      distance: as for `rank_batch`, and so are the rest.
      definition: `rousseeuw` or `centroid`.
      solver: `auto`, `svd`, `gram` or `krylov`.
      method: `auto`, `linear` or `blockwise`.
      block_size: rows at once in the silhouette; None chooses.
      tolerance: how far a score may be off, from 1e-6 to 1e-3; coarser is faster.
      mesh: devices to split the work over, of this process or of several: a `jax.sharding.Mesh` with axes
        `models`, `samples` or both. Features are then a NumPy array that every process has, or a `jax.Array`
        over the mesh, which stays where it is; labels are whole on every process.

    Returns:
      `[models]`; on a mesh the same on every process.

    Raises:
      ValueError: any model that cannot be scored (`rank_batch` would list it and go on), or settings that
        cannot be computed on a mesh.

    Examples:
      >>> stacked = np.stack([features[name] for name in ("F10", "C10")])
      >>> [round(float(score), 2) for score in nrjax.score_batch(stacked, labels)]
      [0.49, 0.14]
    """
    settings = check_settings(n_components, distance, definition, solver, method, block_size, tolerance)
    ids, classes = encode_labels(labels)
    if mesh is not None:
        check_mesh(mesh, settings)
        if not isinstance(features, jax.Array):
            features = check_stack(features)
        check_shape(features, len(ids))
        settings = dataclasses.replace(settings, n_components=components_of(settings, features.shape[1:]))
        scores = score_on_mesh(features, ids, len(classes), settings, mesh)
        return jnp.asarray(scores, working_dtype(features.dtype))
    stacked = check_stack(features)
    checked = [check_features(f"Model {i}", model, len(ids)) for i, model in enumerate(stacked)]
    settings = dataclasses.replace(settings, n_components=components_of(settings, stacked.shape[1:]))
    scored = score_arrays(checked, Task(ids, len(classes), settings))
    return jnp.asarray([score.value for score in scored], working_dtype(checked[0].dtype))
