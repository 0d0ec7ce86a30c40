"""The labelled samples of a sweep: checked once, known by a fingerprint, taken in nested parts."""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from nrjax.datasets import Dataset, Images, holds_labels, load_dataset
from nrjax.models import Kind, Samples, check_samples
from nrjax.scoring.checks import encode_labels
from nrjax.targets import Target


@dataclasses.dataclass(frozen=True)
class LabelledSamples:
    """Labelled samples.

    Attributes:
      kind: of the samples.
      samples: as models take them.
      ids: class ids `0..classes-1`, int32 `[samples]`.
      classes: name or value of each class.
      n_clusters: without labels, how many to look for, 0 to choose; None where there are labels.
    """

    kind: Kind
    samples: Samples
    ids: np.ndarray
    classes: tuple[Any, ...]
    n_clusters: int | None = None

    @classmethod
    def of(cls, data: Any, labels: Any = None, n_clusters: int | None = None) -> "LabelledSamples":
        """From what `rank` takes; `n_clusters` as the attribute.

        Raises:
          ValueError: labels that do not fit the samples, or that are missing or twice there.
        """
        if n_clusters is not None:
            kind, samples = check_samples(data)
            return cls(kind, samples, np.zeros(len(samples), np.int32), tuple(range(n_clusters)), n_clusters)
        samples, labels, names = _data(data, labels)
        kind, samples = check_samples(samples)
        ids, classes = encode_labels(labels)  # before any model runs
        if len(samples) != len(ids):
            noun = {"image": "image", "text": "text", "array": "image"}[kind]
            raise ValueError(f"labels must be one per {noun}; got {len(ids)} labels for {len(samples)} {noun}s.")
        known = classes.tolist() if names is None else [names[i] for i in classes.tolist()]
        return cls(kind, samples, ids, tuple(known))

    def __len__(self) -> int:
        return len(self.ids)

    @functools.cached_property
    def scored_by(self) -> Target:
        """What scores are by."""
        if self.n_clusters is not None:
            return Target.unlabelled(len(self), self.n_clusters)
        return Target.of_ids(self.ids, self.classes)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of samples and class ids: what decides scores, and not how classes are called."""
        digest = hashlib.sha256(f"{self.kind} {len(self)} {self.n_clusters}".encode())
        digest.update(np.ascontiguousarray(self.ids, np.int32).data)
        if isinstance(self.samples, np.ndarray):
            digest.update(f"{self.samples.dtype} {self.samples.shape}".encode())
            digest.update(np.ascontiguousarray(self.samples).data)
        else:
            for one in self.samples:
                data = one.encode("utf-8", "surrogatepass") if isinstance(one, str) else np.ascontiguousarray(one).data
                digest.update(f"{len(data) if isinstance(data, bytes) else data.shape}:".encode())
                digest.update(data)
        return digest.hexdigest()

    @functools.cached_property
    def order(self) -> np.ndarray:
        """The samples in an order of which every beginning has the classes' proportions, and one of each if it can."""
        shuffled = np.random.default_rng(0).permutation(len(self))
        place = np.empty(len(self))  # of a sample in its class, from 0 to 1
        for members in _by_class(self.ids[shuffled]):
            place[members] = np.arange(len(members)) / len(members)
        return shuffled[np.argsort(place, kind="stable")]

    def some(self, start: int, stop: int) -> Samples:
        """The samples from one place in the order to another; all of them come as they lie."""
        if (start, stop) == (0, len(self)):
            return self.samples
        rows = self.order[start:stop]
        if isinstance(self.samples, np.ndarray):
            return self.samples[rows]
        return self.samples.take(rows) if isinstance(self.samples, Images) else [self.samples[i] for i in rows]


def has_labels(data: Any, labels: Any) -> bool:
    """Whether there are labels: arrays and lists of samples have none of their own."""
    return labels is not None or isinstance(data, Dataset) or holds_labels(data)


def _by_class(ids: np.ndarray) -> list[np.ndarray]:
    return np.split(np.argsort(ids, kind="stable"), np.cumsum(np.bincount(ids))[:-1])


def _data(data: Any, labels: Any) -> tuple[Any, Any, Sequence[str] | None]:
    """Samples, labels, and the classes' names where they are known."""
    if labels is None and not isinstance(data, Dataset):
        data = load_dataset(data)
    if not isinstance(data, Dataset):
        return data, labels, None
    if labels is not None:
        raise ValueError("the data set has labels of its own; leave labels out, or pass data.samples.")
    return data.samples, data.labels, data.class_names or None
