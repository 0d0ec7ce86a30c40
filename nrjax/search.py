"""The paper's Algorithm 1: outputs of one layer of every model, then a ranking. Joins the two wings."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nrjax.batch import encode_labels
from nrjax.datasets import fit_images
from nrjax.extract import BATCH_SIZE, extract_features
from nrjax.models import LayerChoice, as_model
from nrjax.ranking import rank_batch
from nrjax.result import Ranking
from nrjax.zoo import load_zoo


def rank(
    models: Mapping[str, Any] | str | Path,
    images: Any,
    labels: Any,
    *,
    layer: LayerChoice = "penultimate",
    batch_size: int = BATCH_SIZE,
    progress: bool = True,
    **options: Any,
) -> Ranking:
    """Ranks models by how well one of their layers separates the classes of labelled images; best first.

    Args:
      models: a zoo (`load_zoo`, or its path), or a mapping from name to an NNX module, a pair (linen
        module, variables), or a `Model`. Each is loaded, used and dropped before the next.
      images: `[samples, height, width, channels]`, or whatever the models take; see `extract_features`.
      labels: one per image, of any type.
      layer: name, index (0 is the input, as in the paper, -1 the last) or `"penultimate"`, the input
        of the last dense layer.
      batch_size: images at once in the forward pass.
      progress: show a progress bar, where stderr is a terminal.
      options: as for `rank_batch`: n_components, distance, definition, solver, method, block_size.

    Returns:
      A `Ranking`. A model that cannot be loaded, has no such layer, or gives features that cannot be
      scored is listed in it, last, with the reason.

    Raises:
      ValueError: labels that do not fit the images, an empty zoo, or no model that can be scored.
    """
    zoo = load_zoo(models) if isinstance(models, (str, Path)) else models
    images = np.asarray(images)
    encode_labels(labels)  # before any model runs
    if len(images) != len(labels):
        raise ValueError(f"labels must be one per image; got {len(labels)} labels for {len(images)} images.")
    with _progress(len(zoo) * len(images), progress) as advance:
        ranking = rank_batch(_Features(zoo, images, layer, batch_size, advance), labels, **options)
    return dataclasses.replace(ranking, settings={**ranking.settings, "layer": layer})


class _Features(Mapping[str, np.ndarray]):
    """Features by model name, extracted when they are looked up, and not kept."""

    def __init__(self, models: Mapping[str, Any], images: np.ndarray, layer: LayerChoice, batch_size: int, advance):
        self._models, self._images, self._layer = models, images, layer
        self._batch_size, self._advance = batch_size, advance
        self._fitted: dict[tuple[int, ...], np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        done = 0

        def on_batch(samples: int) -> None:
            nonlocal done
            done += samples
            self._advance(samples)

        try:
            model = as_model(self._models[name])
            return extract_features(
                model, self._fit(model.input_shape), self._layer, batch_size=self._batch_size, on_batch=on_batch
            )
        except Exception as error:  # whatever a model does, the others go on; rank_batch lists the reason
            first_line = (str(error).splitlines() or [""])[0]
            known = isinstance(error, (ValueError, OSError))
            raise ValueError(first_line if known else f"{type(error).__name__}: {first_line}") from error
        finally:
            self._advance(len(self._images) - done)

    def _fit(self, input_shape: tuple[int, ...] | None) -> np.ndarray:
        """Images resized once for all models of one input shape."""
        if input_shape is None:
            return self._images
        if input_shape not in self._fitted:
            self._fitted[input_shape] = fit_images(self._images, input_shape)
        return self._fitted[input_shape]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)


@contextlib.contextmanager
def _progress(total: int, wanted: bool):
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not (wanted and console.is_terminal)) as bar:
        task = bar.add_task("Extracting", total=total)
        yield lambda samples: bar.advance(task, samples)
