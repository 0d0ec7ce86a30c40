"""A sweep: candidates, a target, a store, a race, an engine; everything that was computed once stays computed."""

import contextlib
import functools
import shlex
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from nrjax._utils.memory import shared_devices
from nrjax.datasets import ColumnChoice, without_news
from nrjax.kernels import Definition, Distance, Method, Solver
from nrjax.kernels.error_bounds import TOLERANCE
from nrjax.models import AnyModels, LayerChoice, Precision
from nrjax.ranking import CandidateRunner, Plan, progress_of
from nrjax.sweeps._cached_extraction import extraction_of
from nrjax.sweeps._checks import EngineName, check_engine, check_race, check_retries, check_system
from nrjax.sweeps._engines import Engine
from nrjax.sweeps._feature_cache import FeatureCache, keep_folder, race_folder
from nrjax.sweeps._outcome import Sweep
from nrjax.sweeps._owner import remove_folders_of_the_dead, temporary_path
from nrjax.sweeps._race import LEVEL, Standing
from nrjax.sweeps._rounds import SweepRounds
from nrjax.sweeps._store import Store
from nrjax.target_tasks import TaskName


def sweep(
    models: AnyModels,
    data: object,
    labels: Iterable[object] | None = None,
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
    task: TaskName | None = None,
    groups: str | Iterable[object] | None = None,
    text: str | Sequence[str] | None = None,
    image: str | None = None,
    label: str | Sequence[str] | None = None,
    tokens: str | None = None,
    audio: str | None = None,
    mask: str | None = None,
    layer: LayerChoice = "penultimate",
    layers: Sequence[LayerChoice] | None = None,
    where: str | None = None,
    batch_size: int | None = None,
    precision: Precision = "float32",
    pooling: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    device: str | None = None,
    builder: str | Callable[[], Any] | None = None,
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
    """Ranks many candidates: `rank` with stored results, early stopping, and worker processes.

    Args:
      models: candidates, as for `rank`.
      data: labelled samples, as for `rank`.
      labels: one per sample, where `data` are samples alone.
      store: file of results (`results.db`). Stored results are not computed again, even if the candidates have other
        names now. A killed sweep continues from there. None stores nothing.
      top: how many of the best models you want. All candidates are scored on a few hundred samples; those that can no
        longer be among the first `top` stop, and the others continue with twice as many samples. None scores all
        candidates on all samples.
      level: probability that every candidate that belongs to the first `top` is kept.
      engine: `inline`: in this process. `local`: one worker process per device, with limits; a crash costs only its
        candidate. `ray`: such processes on the nodes of a Ray cluster (`nrjax[ray]`); nodes may leave and join.
      workers: number of processes. None starts one per accelerator, or one; with Ray as many as fit.
      address: of the Ray cluster, such as `auto`; None starts one on this machine.
      devices_per_model: accelerators per model with Ray; without accelerators, CPU cores.
      time_limit: seconds per model; not inline.
      memory_limit: bytes per process; not inline.
      keep_features: a folder for features. Other scores of the same samples then need no forward pass. With Ray all
        nodes must share the folder.
      retry_failed: try candidates again that crashed their worker in an earlier sweep with the same content, limits and
        engine: True for all, or names of candidates.
      task: as for `rank`, and so are `groups`, `text`, `image`, `label`, `tokens`, `audio` and `mask`.
      groups: of samples that belong together.
      text: column of texts.
      image: column of images.
      label: column of labels, or several.
      tokens: column of lists of words.
      audio: column of recordings.
      mask: column of masks beside the images.
      layer: as for `rank`, and so are `layers`, `where`, `batch_size`, `precision`, `pooling`, `image_size`, `device`,
        `builder`, `download`, `scores` and the rest.
      layers: several layers, or `"all"`.
      where: condition that selects candidates.
      batch_size: samples at once in the forward pass.
      precision: of the forward pass.
      pooling: how layers become vectors.
      image_size: for files that do not contain one.
      device: where loaded models run.
      builder: for weights without a network.
      download: fetch missing weights from the hub.
      progress: True for a bar where stderr is a terminal; `"lines"` or `"json"` for a line a model; False for none.
        Without a bar or lines there are records of the logger `nrjax` (INFO).
      name: of the data in the store's list of runs.
      scores: the first one orders, unless `by` names another. Early stopping uses that score only.
      n_clusters: as for `rank_batch`, of samples without labels.
      n_components: as for `rank_batch`, and so are the rest.
      distance: of the silhouette.
      definition: of the silhouette.
      solver: of the PCA.
      method: of the silhouette.
      block_size: rows at once in the silhouette.
      tolerance: largest error of a silhouette.
      by: the score to order by.
      confidence: compute how sure the order is.

    Returns:
      A `Sweep`.

    Raises:
      ValueError: as for `rank`; a score that none can race by.
      nrjax.errors.StoreError: a store that is damaged, newer, or in use.
      TypeError: an option of the wrong type.
      OSError: the system is Windows.

    Examples:
      >>> first = nrjax.sweep(zoo, images, labels, store="results.db", scores="silhouette")
      >>> again = nrjax.sweep(zoo, images, labels, store="results.db", scores="silhouette")
      >>> again.ranking.best, again.computed, again.stored
      ('F0-4', 0, 9)
    """
    check_system()
    check_race(top, level)
    check_engine(engine, address, devices_per_model, time_limit, memory_limit)
    with contextlib.ExitStack() as stack:
        stack.enter_context(shared_devices)
        plan = Plan.of(
            models, data, labels, task=task, groups=groups,
            columns=ColumnChoice(text, image, label, tokens=tokens, audio=audio, mask=mask), layer=layer, layers=layers,
            where=where, batch_size=batch_size, precision=precision, pooling=pooling, image_size=image_size,
            device=device, builder=builder, download=download, scores=scores,
            n_clusters=n_clusters,
            n_components=n_components, distance=distance, definition=definition, solver=solver, method=method,
            block_size=block_size, tolerance=tolerance, by=by, confidence=confidence,
        )  # fmt: skip
        if top is not None and plan.request.by.reads == "scores":
            raise ValueError(f"{plan.request.by.name} compares all candidates, so none can stop early; leave top out.")
        check_retries(retry_failed, plan.candidates)
        remove_folders_of_the_dead()
        stack.enter_context(without_news)
        results_store = stack.enter_context(Store(store)) if store is not None else None
        racing = top is not None and engine != "ray"  # whose nodes may have no folder in common
        cache = _feature_cache(keep_features, results_store, plan, stack, racing=racing)
        if engine == "inline":
            extraction = extraction_of(plan.target, plan.extraction, cache)
            runner: Engine = CandidateRunner(
                plan.candidates, plan.target, extraction, fingerprints=bool(results_store or cache)
            )
        else:
            runner = _processes(engine, address, devices_per_model)(
                plan.candidates, plan.target, plan.extraction, cache=cache, workers=workers,
                time_limit=time_limit, memory_limit=memory_limit,
            )  # fmt: skip
        stack.callback(runner.close)
        rounds = SweepRounds(
            plan, results_store, cache, runner, stack.enter_context(progress_of(progress)), retry_failed,
            conditions=f"{engine} {time_limit} {memory_limit}", cache_of_the_race=keep_features is None,
        )  # fmt: skip
        settings = {} if top is None else {"top": top, "level": level}
        run = 0
        if results_store:
            run = results_store.begin_run(plan.target.fingerprint, _command(), {**plan.settings, **settings})
            name = name or (str(data) if isinstance(data, (str, Path)) else f"{plan.target.kind}s of this process")
            results_store.add_target(
                plan.target.fingerprint, name, plan.target.kind, len(plan.target), plan.target.target.classes
            )
        results, dropped = rounds.all() if top is None else rounds.race(top, level)
        try:
            ranking = plan.ranking(results, settings)
        except ValueError as error:  # all of them failed
            if results_store:
                failed = {name: result.reason or str(result.layers) for name, result in results.items()}
                results_store.end_run(run, _outcome(None, {}) | {"failed": failed, "reason": str(error)})
            raise
        if results_store:
            results_store.end_run(run, _outcome(ranking.to_dict(), dropped))
    return Sweep(ranking, dropped, rounds.computed, rounds.stored)


def _outcome(ranking: dict[str, Any] | None, dropped: dict[str, Standing]) -> dict[str, Any]:
    """What a store keeps of a run that ended."""
    return {"ranking": ranking, "dropped": {name: standing._asdict() for name, standing in dropped.items()}}


def _processes(engine: EngineName, address: str | None, devices_per_model: int) -> Callable[..., Engine]:
    """What makes an engine of other processes."""
    if engine == "local":
        from nrjax.sweeps._local import Local

        return Local
    from nrjax.sweeps._ray import Ray

    return functools.partial(Ray, address=address, devices_per_model=devices_per_model)


def _feature_cache(
    folder: str | Path | None, store: Store | None, plan: Plan, stack: contextlib.ExitStack, *, racing: bool
) -> FeatureCache | None:
    """A cache where the user says, or, for the rounds of a race, as long as it lasts."""
    if folder is not None:
        keep_folder(Path(folder))
        return FeatureCache(Path(folder), plan.target.fingerprint, plan.extraction.key)
    if not racing:
        return None
    path = race_folder(store.path) if store is not None else None
    if path is not None:  # it stays for the next time where the sweep does not end well
        stack.push(lambda kind, *_: shutil.rmtree(path, ignore_errors=True) if kind is None else None)
    else:
        path = temporary_path()
        path.mkdir(mode=0o700)
        stack.callback(shutil.rmtree, path, ignore_errors=True)
    return FeatureCache(path, plan.target.fingerprint, plan.extraction.key)


def _command() -> str:
    """The command line, as far as it says something."""
    program, *words = sys.argv or [""]
    return shlex.join([Path(program).name, *words])
