"""The paper's Algorithm 1: outputs of layers of every model, then a ranking. Joins the two wings."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nrjax.models import BATCH_SIZE, Features, LayerChoice, check_images, load_zoo
from nrjax.results import Ranking
from nrjax.scoring.checks import checked_or_reason, encode_labels, named_models
from nrjax.scoring.evaluation import Request
from nrjax.scoring.ranking import check_request, evaluate, ranked

SCORES = ("silhouette", "probe")


def rank(
    models: Mapping[str, Any] | str | Path,
    images: Any,
    labels: Any,
    *,
    layer: LayerChoice = "penultimate",
    layers: Sequence[LayerChoice] | None = None,
    batch_size: int = BATCH_SIZE,
    progress: bool = True,
    scores: str | Sequence[str] = SCORES,
    **options: Any,
) -> Ranking:
    """Ranks models by how well one of their layers separates the classes of labelled images; best first.

    Args:
      models: a zoo (`load_zoo`, or its path), or a mapping from name to an NNX module, a pair (linen
        module, variables), or a `Model`. Each is loaded, used and dropped before the next.
      images: `[samples, height, width, channels]`, or whatever the models take; see `extract_features`.
      labels: one per image, of any type.
      layer: name, index (0 is the input, as in the paper, -1 the last), `"penultimate"`, the input
        of the last dense layer, or `"best"`: whichever layer of the model scores best.
      layers: several of those instead; every model is ranked by the best of them, and
        `Ranking.by_layer` has them all. One forward pass serves all layers of a model, whose features are
        held together.
      batch_size: images at once in the forward pass.
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
      ValueError: labels that do not fit the images, an empty zoo, or no model that can be scored.
      TypeError: an option that `rank_batch` does not know.
    """
    request = check_request(scores=scores, **options)
    zoo = load_zoo(models) if isinstance(models, (str, Path)) else models
    images = check_images(images)
    ids, classes = encode_labels(labels)  # before any model runs
    if len(images) != len(ids):
        raise ValueError(f"labels must be one per image; got {len(ids)} labels for {len(images)} images.")
    if layers is not None and (isinstance(layers, (str, int)) or not len(layers)):
        raise ValueError(f"layers must be a list of at least one layer; got {layers!r}. For one layer use layer=.")
    named_models(zoo)
    several = layers is not None or layer == "best"
    chosen = None if layer == "best" and layers is None else list(layers if layers is not None else [layer])
    with _progress(len(zoo) * len(images), progress) as (advance, say):
        with_probabilities = any(kind.reads == "probabilities" for kind in request.scores)
        features = Features(zoo, images, chosen, batch_size, advance, with_probabilities)
        evaluated, failed = evaluate(_checked(features, len(ids), say), ids, len(classes), request)
    made_with = {
        "samples": len(ids), "classes": len(classes),
        "layer": f"best of {', '.join(map(str, layers))}" if layers is not None else layer,
    }  # fmt: skip
    best, lost, found = _best_layers(list(zoo), evaluated, failed, request)
    return ranked(list(zoo), best, lost, request, made_with, classes.tolist(), found if several else None)


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
