"""The paper's Algorithm 1: outputs of layers of every model, then a ranking."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from nrjax._utils.memory import shared_devices
from nrjax.datasets import ColumnChoice, without_news
from nrjax.kernels import Definition, Distance, Method, Solver
from nrjax.kernels.error_bounds import TOLERANCE
from nrjax.models import AnyModels, LayerChoice, Precision
from nrjax.ranking._extraction import Extraction
from nrjax.ranking._jobs import CandidateResult, Job, RoundSpec
from nrjax.ranking._plan import Plan
from nrjax.ranking._progress import progress_of
from nrjax.ranking._runner import CandidateRunner
from nrjax.results import Ranking
from nrjax.target_tasks import TaskName


def rank(
    models: AnyModels,
    data: object,
    labels: Iterable[object] | None = None,
    *,
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
    progress: bool = True,
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
) -> Ranking:
    """Ranks models by how well one of their layers separates the classes of labelled data; best first.

    Args:
      models: candidates of any kind, and mixtures: a name with a prefix (`timm:resnet18`, `hf:DIRECTORY`, `onnx:FILE`,
        `keras:FILE`, `torch:FILE`) or a pattern (`timm:resnet*`), the folder of a zoo, a list of candidates in TOML or
        JSON; a sequence of those; or a mapping from name to one of those, to an NNX module, a pair (linen module,
        variables), a PyTorch or Keras model, a pair (network of transformers, tokenizer or processor), a pipeline, or a
        `Model` (`from_linen`, `from_nnx`, `from_function`, `from_torch`). Each model is loaded, used and dropped. While
        one runs, the next one is read from disk.
      data: a result of `load_dataset`, or its argument; or samples alone, with `labels`: images `[samples, height,
        width, channels]`, texts, or arrays that the models take. Every model gets its own preprocessing, which
        `settings["preprocessing"]` of the ranking records.
      labels: one per sample, if `data` are samples alone: classes of any type; numbers, `[samples]` or `[samples,
        outputs]`; or several labels, as lists or a matrix of 0 and 1. Without labels, models are ranked by how well
        their features form clusters, which is far less reliable.
      task: `classification`, `regression` or `multilabel`. None finds it from the values, and raises an error if two
        tasks are possible. `positions` are classes of places in pictures; `data` are then a pair `(images, masks)`, or
        an argument of `load_dataset`.
      groups: of samples that belong together, such as those of one patient: a column of a table, or one value per
        sample. `probe` and `knn` then leave out whole groups, and `confidence` resamples groups.
      text: column of texts of a table, as for `load_dataset`, and so are `image`, `label`, `tokens`, `audio` and
        `mask`.
      image: column of images.
      label: column of labels, or several.
      tokens: column of lists of words, whose labels are lists of tags: words are scored, and sentences are the groups.
      audio: column of recordings.
      mask: column of masks beside the images, for `positions`.
      layer: a name; an index (0 is the input, as in the paper, -1 the last layer); `"penultimate"`, the input of the
        head (of a transformer its pooled output, of a network without a head its own output); `"last"` or `"mean"` of
        the repeated blocks; or `"best"`, the layer of the model with the best score.
      layers: several of those instead, or `"all"`. Every model is ranked by its best layer, and `Ranking.by_layer` has
        the scores of all layers. One forward pass computes all layers of a model; their features are in memory
        together.
      where: condition that selects candidates, such as `"parameters < 10e6 and license == 'apache-2.0'"`. It may use
        name, source, license, parameters, bytes, and their tags; and `ms`, milliseconds a sample on this machine, which
        are known after some batches: `"ms < 20"` then leaves slower models out, and `settings["left_out"]` says why.
      batch_size: samples at once in the forward pass; None chooses. If a batch does not fit the memory, it is halved.
      precision: of the forward pass, see `extract_features`. Scores are computed as before.
      pooling: how layers become vectors. Maps: `flatten` (the default, as in the paper), `mean` or `max`. Tokens:
        `mean`, `max`, `cls` or `last`; the default is each model's own. Vectors do not change.
      image_size: height and width, or one number, for files that do not contain them.
      device: where loaded models run, such as `cpu`, `cuda:1`, `mps`, `tpu`; None is the fastest. Models in memory stay
        on their device.
      builder: for `torch:FILE.safetensors`, which has weights and no network: a function that returns the module, or
        its `module:function`.
      download: fetch weights that are not in the local cache from the hub; otherwise nothing is downloaded.
      progress: show a progress bar if stderr is a terminal; else there are records of the logger `nrjax` (INFO).
      scores: as for `rank_batch`; the first one orders, unless `by` names another. The default has the accuracy of a
        linear probe beside the paper's score. If the two choose different models, the ranking says so.
        `"silhouette"` alone is cheaper for wide layers of many samples.
      n_clusters: as for `rank_batch`, of samples without labels.
      n_components: as for `rank_batch`, and so are the rest. `leep` and `nce` read the softmax of the last layer.
      distance: of the silhouette.
      definition: of the silhouette.
      solver: of the PCA.
      method: of the silhouette.
      block_size: rows at once in the silhouette.
      tolerance: how far a silhouette may be off.
      by: the score to order by.
      confidence: say how sure the order is.

    Returns:
      A `Ranking`. A model that cannot be loaded, has no such layer, or gives features that cannot be
      scored is listed in it, last, with the reason.

    Raises:
      ValueError: labels that do not fit the samples, an empty zoo, or no model that can be scored.
      TypeError: an option of the wrong type.

    Examples:
      >>> ranking = nrjax.rank(zoo, images, labels)
      >>> ranking.order[:3], round(ranking["F10"].scores["probe"], 2)
      (['F0-4', 'F10', 'C10'], 0.92)
    """
    with shared_devices:
        plan = Plan.of(
            models, data, labels, task=task, groups=groups,
            columns=ColumnChoice(text, image, label, tokens=tokens, audio=audio, mask=mask), layer=layer, layers=layers,
            where=where, batch_size=batch_size, precision=precision, pooling=pooling, image_size=image_size,
            device=device, builder=builder, download=download, scores=scores,
            n_clusters=n_clusters,
            n_components=n_components, distance=distance, definition=definition, solver=solver, method=method,
            block_size=block_size, tolerance=tolerance, by=by, confidence=confidence,
        )  # fmt: skip
        runner = CandidateRunner(plan.candidates, plan.target, Extraction(plan.target, plan.extraction))
        results: dict[str, CandidateResult] = {}
        with without_news, progress_of(progress) as bar:
            bar.round(len(plan.candidates), 0, len(plan.target))
            for result in runner.run(list(map(Job, plan.candidates)), RoundSpec(len(plan.target), plan.request), bar):
                results[result.job.name] = result
                bar.done(result, plan.request.by)
        return plan.ranking({name: results[name] for name in plan.candidates})
