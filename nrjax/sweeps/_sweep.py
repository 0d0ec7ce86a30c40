"""A sweep: candidates, a target, a store, a race, an engine; everything that was computed once stays computed."""

import contextlib
import functools
import shlex
import shutil
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from nrjax._utils.memory import share_devices
from nrjax.datasets import without_news
from nrjax.kernels import Definition, Distance, Method, Solver
from nrjax.kernels.error_bounds import TOLERANCE
from nrjax.models import LayerChoice, Precision, load_candidates
from nrjax.scoring.api import check_request
from nrjax.scoring.checks import named_models
from nrjax.scoring.model_scores import Request
from nrjax.scoring.scores import UNLABELLED, check_labelled
from nrjax.sweeps._best_layer import ranking_of
from nrjax.sweeps._engines import Engine, Inline
from nrjax.sweeps._extraction import CandidateRunner
from nrjax.sweeps._feature_cache import FeatureCache, keep_folder, race_folder
from nrjax.sweeps._jobs import ExtractionSpec
from nrjax.sweeps._outcome import Sweep
from nrjax.sweeps._owner import remove_folders_of_the_dead, temporary_path
from nrjax.sweeps._progress import progress_of
from nrjax.sweeps._race import LEVEL
from nrjax.sweeps._runner import SweepRunner
from nrjax.sweeps._samples import LabelledSamples, has_labels
from nrjax.sweeps._store import Store

SCORES = ("silhouette", "probe")
EngineName = Literal["inline", "local", "ray"]


def sweep(
    models: Any,
    data: Any,
    labels: Any = None,
    *,
    store: str | Path | None = None,
    top: int | None = None,
    level: float = LEVEL,
    engine: EngineName = "inline",
    workers: int | None = None,
    address: str | None = None,
    devices_per_model: int = 1,
    time_limit: float | None = None,
    memory_limit: int | None = None,
    keep_features: str | Path | None = None,
    retry_failed: bool | Collection[str] = False,
    layer: LayerChoice = "penultimate",
    layers: Sequence[LayerChoice] | None = None,
    where: str | None = None,
    batch_size: int | None = None,
    precision: Precision = "float32",
    download: bool = False,
    progress: bool | str = True,
    name: str | None = None,
    scores: str | Sequence[str] | None = None,
    n_clusters: int | None = None,
    n_components: int = 10,
    distance: Distance = "cosine",
    definition: Definition = "rousseeuw",
    solver: Solver = "auto",
    method: Method = "auto",
    block_size: int | None = None,
    tolerance: float = TOLERANCE,
    by: str | None = None,
    confidence: bool = False,
) -> Sweep:
    """Ranks many candidates: `rank` with a memory, a race, and processes that may die.

    Args:
      models: candidates, as for `rank`.
      data: labelled samples, as for `rank`.
      labels: one per sample, where `data` are samples alone.
      store: file of results (`results.db`). What is in it is not computed again, whatever the candidates are called
        now; a sweep that was killed goes on from there. None remembers nothing.
      top: how many of the best are wanted. Then the candidates race: all are scored on a few hundred samples, those
        that cannot come among the first `top` any more stop, and the others go on with twice as many. None scores all
        candidates on all samples.
      level: probability that a race stops none that would have come among the first `top`.
      engine: `inline` (in this process); `local`: worker processes, one a device, whose deaths cost nothing but time,
        and which have limits; or `ray`: such processes on the nodes of a Ray cluster (`nrjax[ray]`), which may be lost
        and join.
      workers: processes at once; None starts one for every accelerator, or one, and with Ray as many as fit.
      address: of the Ray cluster, such as `auto`; None starts one on this machine.
      devices_per_model: accelerators that a model takes with Ray; where there are none, CPU cores.
      time_limit: seconds a model; not inline.
      memory_limit: bytes that a process may take; not inline.
      keep_features: a folder for features, so that other scores of the same samples need no forward pass; with Ray one
        that all nodes share.
      retry_failed: try again what took its process with it in an earlier sweep, with the same content, limits and
        engine: True for all, or names of candidates.
      layer: as for `rank`, and so are `layers`, `where`, `batch_size`, `precision`, `download`, `scores` and the rest.
      layers: several layers, or `"all"`.
      where: take candidates of which this holds.
      batch_size: samples at once in the forward pass.
      precision: of the forward pass.
      download: whether the hub may be asked for weights.
      progress: True for a bar where stderr is a terminal; `"lines"` or `"json"` for a line a model; False for none.
      name: of the data in the store's list of runs.
      scores: the first one orders, unless `by` says otherwise; a race goes by that score alone.
      n_clusters: as for `rank_batch`, of samples without labels.
      n_components: as for `rank_batch`, and so are the rest.
      distance: of the silhouette.
      definition: of the silhouette.
      solver: of the PCA.
      method: of the silhouette.
      block_size: rows at once in the silhouette.
      tolerance: how far a silhouette may be off.
      by: the score to order by.
      confidence: say how sure the order is.

    Returns:
      A `Sweep`.

    Raises:
      ValueError: as for `rank`; a store that is damaged, newer, or in use; a score that none can race by.
      TypeError: an option of the wrong type.
    """
    share_devices()
    labelled = has_labels(data, labels)
    default = SCORES if labelled else UNLABELLED
    request = check_request(
        scores=default if scores is None else scores,
        n_components=n_components, distance=distance, definition=definition, solver=solver, method=method,
        block_size=block_size, tolerance=tolerance, by=by, confidence=confidence,
    )  # fmt: skip
    clusters = check_labelled(request.scores, labels if not labelled else "", n_clusters)
    _check(request, precision, layer, layers, top, level)
    _check_engine(engine, address, devices_per_model, time_limit, memory_limit)
    candidates = load_candidates(models, where=where, download=download)
    target = LabelledSamples.of(data, labels, clusters)
    if not candidates:
        raise ValueError("models must hold at least one model; got none.")
    named_models(candidates)
    every = layers == "all" or (layer == "best" and layers is None)
    chosen = None if every else tuple(layers if layers is not None else [layer])
    work = ExtractionSpec(chosen, batch_size, precision, any(one.reads == "probabilities" for one in request.scores))
    made_with = {
        "samples": len(target), "classes": len(target.classes),
        "layer": "best" if every else f"best of {', '.join(map(str, layers))}" if layers is not None else layer,
        "precision": precision,
    } | ({} if labelled else {"labels": None}) | ({"top": top, "level": level} if top is not None else {})  # fmt: skip
    remove_folders_of_the_dead()
    with contextlib.ExitStack() as stack:
        stack.enter_context(without_news())
        memory = stack.enter_context(Store(store)) if store is not None else None
        racing = top is not None and engine != "ray"  # whose nodes may have no folder in common
        kept = _kept(keep_features, memory, target, work, stack, racing=racing)
        if engine == "inline":
            worker = CandidateRunner(candidates, target, work, kept=kept, fingerprints=bool(memory or kept))
            hands: Engine = Inline(worker)
        else:
            hands = _elsewhere(engine, address, devices_per_model)(
                candidates, target, work, kept=kept, workers=workers, time_limit=time_limit, memory_limit=memory_limit
            )
        stack.callback(hands.close)
        shown = stack.enter_context(progress_of(progress))
        going = SweepRunner(
            candidates, target, work, request, memory, kept, hands, shown, retry_failed,
            conditions=f"{engine} {time_limit} {memory_limit}", kept_for_the_race=keep_features is None,
        )  # fmt: skip
        run = memory.begin_run(target.fingerprint, _command(), made_with) if memory else 0
        if memory:
            name = name or (str(data) if isinstance(data, (str, Path)) else f"{target.kind}s of this process")
            memory.add_target(target.fingerprint, name, target.kind, len(target), target.classes)
        found, lost = going.race(top, level) if top is not None else (going.round(list(candidates), len(target)), {})
        made_with["preprocessing"] = {
            model: done.about.preprocessing for model, done in found.items() if done.about is not None
        }  # fmt: skip
        several = layers is not None or layer == "best"
        try:
            ranking = ranking_of(found, request, made_with, target.scored_by, several)
        except ValueError as error:  # all of them failed
            if memory:
                failed = {name: done.reason or str(done.layers) for name, done in found.items()}
                memory.end_run(run, {"ranking": None, "dropped": {}, "failed": failed, "reason": str(error)})
            raise
        swept = Sweep(ranking, lost, going.computed, going.stored)
        if memory:
            memory.end_run(run, {"ranking": ranking.to_dict(), "dropped": {
                name: one._asdict() for name, one in lost.items()}})  # fmt: skip
    return swept


def _check(request: Request, precision: Any, layer: Any, layers: Any, top: Any, level: Any) -> None:
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be of {', '.join(get_args(Precision))}; got {precision!r}.")
    if isinstance(layer, bool) or not isinstance(layer, (str, int)):
        raise TypeError(f"layer must be the name or the index of one; got {layer!r}. For several use layers=.")
    if layers is not None and layers != "all" and (isinstance(layers, (str, int)) or not len(layers)):
        raise ValueError(f"layers must be a list of at least one layer; got {layers!r}. For one layer use layer=.")
    if top is not None:
        if isinstance(top, bool) or not isinstance(top, int) or top < 1:
            raise ValueError(f"top must be a positive integer; got {top!r}.")
        if not 0.5 < level < 1:
            raise ValueError(f"level must be between 0.5 and 1; got {level!r}.")
        if request.by.reads == "scores":
            raise ValueError(f"{request.by.name} is among all candidates, so none can stop early: leave top out.")


def _check_engine(engine: Any, address: Any, devices_per_model: Any, time_limit: Any, memory_limit: Any) -> None:
    if engine not in get_args(EngineName):
        raise ValueError(f"engine must be of {', '.join(get_args(EngineName))}; got {engine!r}.")
    if engine != "ray" and (address is not None or devices_per_model != 1):
        raise ValueError("address and devices_per_model are of a Ray cluster: engine='ray'.")
    if isinstance(devices_per_model, bool) or not isinstance(devices_per_model, int) or devices_per_model < 1:
        raise ValueError(f"devices_per_model must be a positive integer; got {devices_per_model!r}.")
    if engine == "inline" and (time_limit is not None or memory_limit is not None):
        raise ValueError("time_limit and memory_limit need processes that can be ended: engine='local'.")
    for name, value in (("time_limit", time_limit), ("memory_limit", memory_limit)):
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be positive; got {value!r}.")


def _elsewhere(engine: EngineName, address: str | None, devices_per_model: int) -> Callable[..., Engine]:
    """What makes an engine of other processes."""
    if engine == "local":
        from nrjax.sweeps._local import Local

        return Local
    from nrjax.sweeps._ray import Ray

    return functools.partial(Ray, address=address, devices_per_model=devices_per_model)


def _kept(
    folder: str | Path | None, store: Store | None, target: LabelledSamples, work: ExtractionSpec,
    stack: contextlib.ExitStack, *, racing: bool,
) -> FeatureCache | None:  # fmt: skip
    """Where features are kept: where the user says, or, for the rounds of a race, as long as it lasts."""
    if folder is not None:
        keep_folder(Path(folder))
        return FeatureCache(Path(folder), target.fingerprint, work.asked)
    if not racing:
        return None
    beside = race_folder(store.path) if store is not None else None
    if beside is not None:  # it stays for the next time where the sweep does not end well
        stack.push(lambda kind, *_: shutil.rmtree(beside, ignore_errors=True) if kind is None else None)
        return FeatureCache(beside, target.fingerprint, work.asked)
    temporary = temporary_path()
    temporary.mkdir(mode=0o700)
    stack.callback(shutil.rmtree, temporary, ignore_errors=True)
    return FeatureCache(temporary, target.fingerprint, work.asked)


def _command() -> str:
    """The command line, as far as it says something."""
    program, *words = sys.argv or [""]
    return shlex.join([Path(program).name, *words])
