"""The paper's Algorithm 1: outputs of layers of every model, then a ranking. Joins the two wings."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_args

from nrjax.datasets import Dataset, load_dataset, without_news
from nrjax.models import Features, LayerChoice, Precision, check_samples, load_candidates
from nrjax.results import Ranking
from nrjax.scoring.checks import checked_or_reason, encode_labels, named_models
from nrjax.scoring.evaluation import Request
from nrjax.scoring.ranking import check_request, evaluate, ranked

SCORES = ("silhouette", "probe")


def rank(
    models: Any,
    data: Any,
    labels: Any = None,
    *,
    layer: LayerChoice = "penultimate",
    layers: Sequence[LayerChoice] | None = None,
    where: str | None = None,
    batch_size: int | None = None,
    precision: Precision = "float32",
    download: bool = False,
    progress: bool = True,
    scores: str | Sequence[str] = SCORES,
    **options: Any,
) -> Ranking:
    """Ranks models by how well one of their layers separates the classes of labelled data; best first.

    Args:
      models: candidates of any kind, and mixtures: a name with a prefix (`timm:resnet18`, `hf:DIRECTORY`, `onnx:FILE`,
        `keras:FILE`), the folder of a zoo, a list of candidates in TOML or JSON; a sequence of those; or a mapping
        from name to one of those, to an NNX module, a pair (linen module, variables), a PyTorch or Keras model, or a
        `Model` (`from_linen`, `from_nnx`, `from_function`, `from_torch`). Each is loaded, used and dropped; of those
        on disk the next one is read meanwhile.
      data: what `load_dataset` returned, or takes; or samples alone, with `labels`: images `[samples, height, width,
        channels]`, texts, or arrays of whatever the models take. Every model gets them through its own preprocessing,
        which `settings["preprocessing"]` of the ranking says.
      labels: one per sample, of any type, where `data` are samples alone.
      layer: name, index (0 is the input, as in the paper, -1 the last), `"penultimate"`, the input
        of the last dense layer (of a transformer its pooled output), `"last"` or `"mean"` of the blocks that a
        network repeats, or `"best"`: whichever layer of the model scores best.
      layers: several of those instead, or `"all"`; every model is ranked by the best of them, and
        `Ranking.by_layer` has them all. One forward pass serves all layers of a model, whose features are
        held together.
      where: take candidates of which this holds: `"parameters < 10e6 and license == 'apache-2.0'"`; it may ask for
        name, source, license, parameters, bytes, and their tags.
      batch_size: samples at once in the forward pass; None goes by their size. What does not fit the memory is halved.
      precision: of the forward pass, `float32` or `bfloat16`; scores are computed as ever.
      download: whether the hub may be asked for weights that are not here; else nothing is fetched.
      progress: show a progress bar, where stderr is a terminal.
      scores: as for `rank_batch`; the first one orders, unless `by` says otherwise. The default shows the accuracy
        of a linear probe beside the paper's score: where the two choose another model first, the ranking says so.
        `"silhouette"` alone is cheaper for wide layers of many samples.
      options: as for `rank_batch`: n_components, distance, definition, solver, method, block_size, by,
        confidence. `leep` and `nce` read the softmax of the model's last layer.

    Returns:
      A `Ranking`. A model that cannot be loaded, has no such layer, or gives features that cannot be
      scored is listed in it, last, with the reason.

    Raises:
      ValueError: labels that do not fit the samples, an empty zoo, or no model that can be scored.
      TypeError: an option that `rank_batch` does not know.
    """
    request = check_request(scores=scores, **options)
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be of {', '.join(get_args(Precision))}; got {precision!r}.")
    candidates = load_candidates(models, where=where, download=download)
    samples, labels, names = _data(data, labels)
    kind, samples = check_samples(samples)
    ids, classes = encode_labels(labels)  # before any model runs
    if len(samples) != len(ids):
        noun = {"image": "image", "text": "text", "array": "image"}[kind]
        raise ValueError(f"labels must be one per {noun}; got {len(ids)} labels for {len(samples)} {noun}s.")
    if layers is not None and layers != "all" and (isinstance(layers, (str, int)) or not len(layers)):
        raise ValueError(f"layers must be a list of at least one layer; got {layers!r}. For one layer use layer=.")
    named_models(candidates)
    several = layers is not None or layer == "best"
    every = layers == "all" or (layer == "best" and layers is None)
    chosen = None if every else list(layers if layers is not None else [layer])
    with without_news(), _progress(len(candidates) * len(samples), progress) as (advance, say):
        with_probabilities = any(one.reads == "probabilities" for one in request.scores)
        features = Features(
            candidates, kind, samples, chosen, batch_size, precision, advance, with_probabilities
        )  # fmt: skip
        evaluated, failed = evaluate(_checked(features, len(ids), say), ids, len(classes), request)
    made_with = {
        "samples": len(ids), "classes": len(classes),
        "layer": "best" if every else f"best of {', '.join(map(str, layers))}" if layers is not None else layer,
        "precision": precision, "preprocessing": features.preprocessing,
    }  # fmt: skip
    best, lost, found = _best_layers(list(candidates), evaluated, failed, request)
    known = classes.tolist() if names is None else [names[i] for i in classes.tolist()]
    return ranked(list(candidates), best, lost, request, made_with, known, found if several else None)


def _data(data: Any, labels: Any) -> tuple[Any, Any, Sequence[str] | None]:
    """Samples, labels, and the classes' names where they are known."""
    if labels is None and not isinstance(data, Dataset):
        data = load_dataset(data)
    if not isinstance(data, Dataset):
        return data, labels, None
    if labels is not None:
        raise ValueError("the data set has labels of its own; leave labels out, or pass data.samples.")
    return data.samples, data.labels, data.class_names or None


def _checked(
    features: Features, samples: int, say: Callable[[str], None]
) -> Iterator[tuple[tuple[str, str], Any, Any]]:
    """Checked features, or what is wrong with them, of every layer of every model."""
    for model, layer, array, probabilities in features:
        checked = array if isinstance(array, str) else checked_or_reason(model, lambda array=array: array, samples)
        say(f"Scoring {model}, {layer}")
        yield (model, layer), checked, probabilities
        say("Extracting")


def _best_layers(
    names: Sequence[str], evaluated: Mapping[tuple[str, str], Any], failed: Mapping[tuple[str, str], str],
    request: Request,
) -> tuple[dict[str, Any], dict[str, str], dict[str, dict[str, Any]]]:  # fmt: skip
    """Of every model the layer that scores best, or why none does, and the scores of all its layers."""
    by, sign = request.by.name, request.by.sign
    scores: dict[str, dict[str, float]] = {name: {} for name in names}
    reasons: dict[str, dict[str, list[str]]] = {name: {} for name in names}
    for (name, layer), one in evaluated.items():
        scores[name][layer] = one.values[by]
    for (name, layer), reason in failed.items():
        reasons[name].setdefault(reason, []).append(layer)
    best, found = {}, {}
    for name, of_layers in scores.items():
        if of_layers:
            layer = max(of_layers, key=lambda layer: sign * of_layers[layer])
            best[name] = evaluated[name, layer]
            found[name] = {"layer": layer, "layers": of_layers}
    lost = {
        name: " ".join(why if len(why_of) == 1 else f"{', '.join(of)}: {why}" for why, of in why_of.items())
        for name, why_of in reasons.items() if name not in best
    }  # fmt: skip
    return best, lost, found


@contextlib.contextmanager
def _progress(total: int, wanted: bool):
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    from nrjax.files import shown

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not (wanted and console.is_terminal)) as bar:
        task = bar.add_task("Extracting", total=total)
        yield (
            lambda samples: bar.advance(task, samples),
            lambda words: bar.update(task, description=escape(shown(words))),
        )
