"""What samples are scored by: a class, numbers or several labels each, and which of them belong together."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from nrjax.groups import check_classes_of_groups, encode_groups, members_by_size, positions_in
from nrjax.labels import as_label_array, check_same_order, encode
from nrjax.target_tasks import TASKS, TaskName, are_collections, as_matrix, as_multi_hot, told_task

STRATA = 10  # parts of the range of a number, which draws of samples have in proportion
FEW_TIMES, MOST_SHARE = 3, 0.75  # of the largest class: times its even share, or share of all, above which few count


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """The target of a ranking; `Target.of` is the door, which has checked it.

    Attributes:
      task: `classification`, `regression`, `multilabel`, or `clusters` where there are no labels.
      values: class ids int32 `[samples]`, or numbers, of several labels 0 and 1, float64 `[samples, outputs]`.
      classes: the label of each id, or the names of the outputs or labels.
      groups: ids int32 `[samples]` of samples that are left out together, or None.
      remarks: sentences that a ranking by this target has to say.
    """

    task: TaskName
    values: np.ndarray
    classes: tuple[Any, ...]
    groups: np.ndarray | None = None
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        labels: Iterable[object],
        *,
        task: TaskName | None = None,
        groups: Iterable[object] | None = None,
        names: Sequence[str] = (),
        place: Callable[[int], str] = "sample {}".format,
    ) -> "Target":
        """From labels of any kind.

        Args:
          labels: a class a sample, of any type; numbers `[samples]` or `[samples, outputs]`; several labels a sample, a
            list or set of each or a matrix of 0 and 1.
          task: `classification`, `regression` or `multilabel`; None tells by the values.
          groups: one per sample, such as the patient; None where samples are independent.
          names: of class ids, of outputs or of the columns of labels; none where they are called as they are.
          place: what the user calls the sample of an index.

        Raises:
          ValueError: labels that are missing, that fit no task or could be of two, classes that are not between 2 and
            samples - 1; groups that are missing, one, or in the place of the classes.
          TypeError: what is no sequence.
        """
        if task is not None and task not in TASKS:
            raise ValueError(f"task must be one of {', '.join(TASKS)}; got {task!r}.")
        check_same_order(labels, groups, "groups")
        remarks: tuple[str, ...] = ()
        labels = list(labels) if isinstance(labels, Iterator) else labels
        if task is None and are_collections(labels):
            task = "multilabel"
        array = None if task == "multilabel" else as_label_array(labels)
        is_told = task is not None
        task = told_task(array) if task is None else task  # pyright: ignore
        if task == "classification":
            values, classes = encode(array, place, is_told=is_told)
            if not 2 <= len(classes) <= len(values) - 1:
                raise ValueError(
                    f"labels must have at least 2 classes and fewer classes than samples; "
                    f"got {len(classes)} classes in {len(values)} samples."
                )
            own_names = tuple(classes.tolist())
        elif task == "regression":
            values, own_names = as_matrix(labels, place)
        else:
            values, own_names = as_multi_hot(labels, place)
        called = tuple(names[i] for i in own_names) if names else own_names
        if task == "multilabel":
            values, called, remarks = _varying(values, called)
        target = cls(task, values, called, None, remarks)
        return target if groups is None else target.grouped(groups, place)

    @classmethod
    def of_ids(cls, ids: np.ndarray, classes: Any, groups: np.ndarray | None = None) -> "Target":
        """From class ids that the door has checked already; `classes` are their labels or how many there are."""
        classes = range(classes) if isinstance(classes, int) else classes
        return cls("classification", np.asarray(ids, np.int32), tuple(classes), groups)

    @classmethod
    def unlabelled(cls, samples: int, n_clusters: int = 0) -> "Target":
        """Without labels; `n_clusters` to look for, 0 to choose."""
        return cls("clusters", np.zeros(samples, np.int32), tuple(range(n_clusters)))

    def grouped(self, groups: Iterable[object], place: Callable[[int], str] = "sample {}".format) -> "Target":
        """With groups; see `of`."""
        ids = encode_groups(groups, len(self), place)
        if ids is None:
            remark = "Every group has one sample, so groups have no effect."
            return dataclasses.replace(self, remarks=(*self.remarks, remark))
        if self.task == "classification":
            check_classes_of_groups(self.values, np.array(self.classes, object), ids)
        return dataclasses.replace(self, groups=ids)

    def take(self, rows: np.ndarray) -> "Target":
        """Of some samples; classes keep their ids."""
        groups = None if self.groups is None else np.unique(self.groups[rows], return_inverse=True)[1].astype(np.int32)
        return dataclasses.replace(self, values=self.values[rows], groups=groups)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_classes(self) -> int:
        """Classes, outputs, labels, or clusters to look for."""
        return len(self.classes)

    @functools.cached_property
    def counts(self) -> np.ndarray:
        """Samples of every class or with every label; of numbers all samples for every output."""
        if self.values.ndim == 1:
            return np.bincount(self.values, minlength=self.n_classes)
        if self.task == "multilabel":
            return self.values.sum(axis=0).astype(int)
        return np.full(self.n_classes, len(self))

    @functools.cached_property
    def strata(self) -> np.ndarray:
        """Parts of the samples, int `[samples]`, that draws have in proportion.

        Classes, deciles of the first number, or samples of the same labels.
        """
        if self.values.ndim == 1:
            return self.values
        if self.task == "regression":
            places = np.argsort(np.argsort(self.values[:, 0], kind="stable"), kind="stable")
            return places * STRATA // len(self)
        return np.unique(self.values, axis=0, return_inverse=True)[1].reshape(-1)

    @functools.cached_property
    def members(self) -> tuple[np.ndarray, ...]:
        """Places of the samples of every group, see `members_by_size`; empty without groups."""
        return () if self.groups is None else members_by_size(self.groups)

    @functools.cached_property
    def positions(self) -> np.ndarray:
        """Where each sample is among `members`."""
        return positions_in(self.members, len(self))

    @property
    def independent(self) -> int:
        """Groups, or samples where there are none."""
        return len(self) if self.groups is None else int(self.groups.max()) + 1

    @property
    def fewest_left(self) -> int:
        """Samples that are there when the largest group is left out, or a sample."""
        return len(self) - (1 if self.groups is None else int(np.bincount(self.groups).max()))

    @property
    def majority(self) -> float | None:
        """Share of the largest class; None where there are no classes."""
        return float(self.counts.max() / len(self)) if self.task == "classification" else None

    @property
    def is_imbalanced(self) -> bool:
        """Whether the largest class has more than three times its even share, or than three quarters of the samples."""
        return self.majority is not None and self.majority > min(FEW_TIMES / self.n_classes, MOST_SHARE)

    @property
    def made_with(self) -> dict[str, Any]:
        """What a ranking's settings say of it."""
        if self.task == "clusters":
            return {"samples": len(self), "classes": self.n_classes, "labels": None}
        if self.task == "classification":
            made: dict[str, Any] = {"samples": len(self), "classes": self.n_classes}
        else:
            made = {"samples": len(self), "classes": None, "task": self.task, "outputs": self.n_classes}
        made |= {} if self.groups is None else {"groups": self.independent}
        return made


def _varying(values: np.ndarray, names: tuple[object, ...]) -> tuple[np.ndarray, tuple[Any, ...], tuple[str, ...]]:
    """Without the labels that all samples or none have, and what there is to say of those."""
    varies = (values != values[0]).any(axis=0) if len(values) else np.zeros(len(names), bool)
    if not varies.any():
        raise ValueError(f"labels must vary; every sample has the same of {len(names)} labels.")
    if varies.all():
        return values, names, ()
    constant = [f"{name}" for name, varied in zip(names, varies, strict=True) if not varied]
    listed = ", ".join(constant[:5]) + (", ..." if len(constant) > 5 else "")
    remark = f"Left out, because all samples or none have it: label {listed} ({len(constant)} of {len(names)})."
    return values[:, varies], tuple(name for name, varied in zip(names, varies, strict=True) if varied), (remark,)
