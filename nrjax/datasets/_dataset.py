"""Labelled samples as `load_dataset` returns them."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from nrjax.datasets._sample_sequence import SampleSequence


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Labelled samples; unpacks as `samples, labels, class_names`.

    Attributes:
      samples: images of one size, uint8 `[samples, height, width, channels]`; `Images` of several sizes, or of more
        than fit the memory, which are decoded when they are looked up; texts, a list of str; `Words`; `Pairs` of
        texts; arrays; or another sequence that has a `kind`.
      labels: class ids of the whole dataset, int64 `[samples]` (not renumbered when classes are chosen); numbers,
        float64 `[samples, outputs]`; or several labels a sample, bool `[samples, labels]`.
      class_names: name of every class id, of every output, or of every label.
      task: `classification`, `regression` or `multilabel`.
      groups: of samples that belong together, `[samples]` of any type; None where every sample is its own.

    Examples:
      >>> data = nrjax.Dataset(images, labels, ("shirt", "trousers", "pullover", "dress", "coat"))
      >>> samples, ids, names = data
      >>> samples.shape, names[ids[0]]
      ((1000, 28, 28, 1), 'shirt')
    """

    samples: Any
    labels: np.ndarray
    class_names: tuple[str, ...]
    task: str = "classification"
    groups: np.ndarray | None = None

    def __repr__(self) -> str:
        names = ", ".join(map(str, self.class_names[:10])) + (", ..." if len(self.class_names) > 10 else "")
        return f"<Dataset of {len(self.labels):,} samples ({self.kind}), {self.task}: {names}>"

    def __iter__(self) -> Iterator[Any]:
        return iter((self.samples, self.labels, self.class_names))

    @property
    def images(self) -> np.ndarray:
        """All images as one array. Raises ValueError where they differ in size, or are none."""
        if self.kind not in ("image", "array"):
            raise ValueError(f"the data set has {self.kind.removesuffix('s')}s, no images.")
        return np.asarray(self.samples)

    @property
    def texts(self) -> list[str]:
        """All texts. Raises ValueError where they are none."""
        if self.kind != "text":
            raise ValueError(f"the data set has {self.kind.removesuffix('s')}s, no texts.")
        return self.samples

    @property
    def kind(self) -> str:
        """`image`, `text`, `array`, or another kind of a `SampleSequence`."""
        if isinstance(self.samples, SampleSequence):
            return self.samples.kind
        if isinstance(self.samples, list):
            return "text"
        return "image" if self.samples.ndim == 4 and self.samples.dtype == np.uint8 else "array"
