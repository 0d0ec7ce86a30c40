"""The labelled samples of a ranking: checked once, known by a fingerprint, taken in nested parts."""

import dataclasses
import functools
import hashlib
import warnings
from typing import Any

import numpy as np

from nrjax._utils.spelling import FEW_OF_ONE
from nrjax.datasets import ColumnChoice, Dataset, Pairs, SampleSequence, columns_of_words, holds_labels, load_dataset
from nrjax.labels import check_same_order
from nrjax.models import Kind, Samples, check_samples
from nrjax.target_tasks import TaskName
from nrjax.targets import Target

NOUNS = {  # what messages call a sample of a kind
    "image": "image", "text": "text", "array": "sample", "words": "word", "pair": "pair of texts", "audio": "recording",
    "position": "position",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class LabelledSamples:
    """Labelled samples.

    Attributes:
      kind: of the samples.
      samples: as models take them.
      target: a class, numbers or several labels for every sample; or clusters, where there are no labels.
    """

    kind: Kind
    samples: Samples
    target: Target

    @classmethod
    def of(
        cls, data: Any, labels: Any = None, *, task: TaskName | None = None, groups: Any = None,
        columns: ColumnChoice | None = None,
    ) -> "LabelledSamples":  # fmt: skip
        """From what `rank` takes as labelled data.

        Raises:
          ValueError: labels that do not fit the samples, or that are missing or twice there; columns of what is no
            table.
        """
        check_same_order(data, labels)
        check_same_order(data, groups, "groups")
        columns = columns or ColumnChoice()
        if task == "positions":
            data, labels, columns, task = _positions_of(data, labels, groups, columns), None, ColumnChoice(), None
        elif _are_sentences(data, labels):
            data, labels = columns_of_words(data, labels), None
        if labels is None and not isinstance(data, Dataset):
            if isinstance(groups, str):
                columns, groups = dataclasses.replace(columns, groups=groups), None
            data = load_dataset(data, **dataclasses.asdict(columns), task=task)
        elif not columns.is_empty or isinstance(groups, str):
            raise ValueError(
                "text, image, label, tokens, audio, mask and a name of groups are columns of a table; these samples "
                "have none. Pass labels and groups as arrays."
            )
        if isinstance(data, Dataset):
            if labels is not None:
                raise ValueError("the data set has labels of its own; leave labels out, or pass data.samples.")
            if task not in (None, data.task):
                raise ValueError(f"the data set was loaded for {data.task}; load_dataset(..., task={task!r}).")
            groups = data.groups if groups is None else groups
            return cls._checked(data.samples, data.labels, data.task, groups, data.class_names)
        return cls._checked(data, labels, task, groups, ())

    @classmethod
    def unlabelled(cls, data: object, n_clusters: int) -> "LabelledSamples":
        """Samples without labels; `n_clusters` to look for, 0 to choose."""
        kind, samples = check_samples(data)
        second = list(dict.fromkeys(pair.second for pair in samples)) if isinstance(samples, Pairs) else []
        if second and FEW_OF_ONE * len(second) <= len(samples):
            warnings.warn(
                f"samples are pairs of texts of which the second are {len(second)} different ones, such as "
                f"{second[0][:60]!r}. If those are labels, give them apart.", RuntimeWarning, stacklevel=4,
            )  # fmt: skip
        return cls(kind, samples, Target.unlabelled(len(samples), n_clusters))

    @classmethod
    def _checked(
        cls, samples: object, labels: Any, task: Any, groups: Any, names: tuple[str, ...]
    ) -> "LabelledSamples":
        kind, samples = check_samples(samples)
        target = Target.of(labels, task=task, groups=groups, names=names)  # before any model runs
        if len(samples) != len(target):
            noun = NOUNS.get(kind, "sample")
            many = "pairs of texts" if kind == "pair" else f"{noun}s"
            raise ValueError(f"labels must be one per {noun}; got {len(target)} labels for {len(samples)} {many}.")
        return cls(kind, samples, target)

    def with_remark(self, remark: str) -> "LabelledSamples":
        """The same; a ranking by it has to say the remark."""
        target = dataclasses.replace(self.target, remarks=(*self.target.remarks, remark))
        return dataclasses.replace(self, target=target)

    def __len__(self) -> int:
        return len(self.target)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of samples, values and groups: what decides scores, and not how classes are called."""
        target = self.target
        digest = hashlib.sha256(f"{self.kind} {len(self)} {target.task} {target.n_classes}".encode())
        for array in (target.values, target.groups):
            if array is not None:
                digest.update(f"{array.dtype} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        if isinstance(self.samples, np.ndarray):
            digest.update(f"{self.samples.dtype} {self.samples.shape}".encode())
            digest.update(np.ascontiguousarray(self.samples).data)
        else:
            contents = self.samples.content() if isinstance(self.samples, SampleSequence) else self.samples
            for content in contents:
                content = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
                data = content if isinstance(content, bytes) else np.ascontiguousarray(content).data
                digest.update(f"{len(data) if isinstance(data, bytes) else data.shape}:".encode())
                digest.update(data)
        return digest.hexdigest()

    @functools.cached_property
    def order(self) -> np.ndarray:
        """The samples in an order whose beginnings are like the whole.

        Every beginning has the proportions of the classes (of numbers those of their deciles), and one sample of each
        if it can. With groups, groups follow each other at random.
        """
        shuffled = np.random.default_rng(0).permutation(len(self))
        if self.target.groups is not None:
            place_of_group = np.random.default_rng(0).permutation(self.target.independent)
            return shuffled[np.argsort(place_of_group[self.target.groups[shuffled]], kind="stable")]
        place = np.empty(len(self))  # of a sample in its stratum, from 0 to 1
        for members in _by_stratum(self.target.strata[shuffled]):
            place[members] = np.arange(len(members)) / len(members)
        return shuffled[np.argsort(place, kind="stable")]

    def some(self, start: int, stop: int) -> Samples:
        """The samples from one place in the order to another; all of them come as they lie."""
        if (start, stop) == (0, len(self)):
            return self.samples
        rows = self.order[start:stop]
        if isinstance(self.samples, np.ndarray):
            return self.samples[rows]
        return self.samples.take(rows) if isinstance(self.samples, SampleSequence) else [self.samples[i] for i in rows]


def _positions_of(data: object, masks: object, groups: object, columns: ColumnChoice) -> Dataset:
    """Positions of pictures with masks; a data set of positions stays as it is.

    Raises:
      ValueError: groups, which are the pictures; or a data set of something else.
    """
    if groups is not None:
        raise ValueError("the groups of positions are their pictures; leave groups out.")
    if isinstance(data, Dataset):
        if data.kind != "position":
            raise ValueError(f"the data set has {data.kind}s; load_dataset(..., task='positions').")
        return data
    return load_dataset(data if masks is None else (data, masks), **dataclasses.asdict(columns), task="positions")


def _are_sentences(samples: object, labels: object) -> bool:
    """Whether samples are lists of words, and labels lists of a tag for each word."""
    if not isinstance(samples, (list, tuple)) or not isinstance(labels, (list, tuple)) or not samples or not labels:
        return False
    return all(
        isinstance(words, (list, tuple)) and isinstance(tags, (list, tuple)) and all(isinstance(w, str) for w in words)
        for words, tags in ((samples[0], labels[0]), (samples[-1], labels[-1]))
    )


def has_labels(data: object, labels: object) -> bool:
    """Whether there are labels: arrays and lists of samples have none of their own."""
    return labels is not None or isinstance(data, Dataset) or holds_labels(data)


def _by_stratum(strata: np.ndarray) -> list[np.ndarray]:
    return np.split(np.argsort(strata, kind="stable"), np.cumsum(np.bincount(strata))[:-1])
