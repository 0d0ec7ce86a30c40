"""Tables of sentences, with a list of words and a list of tags in every row."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nrjax._utils.messages import shortened
from nrjax.datasets._cells import is_missing, list_in_text, text_problem
from nrjax.datasets._columns import Columns
from nrjax.datasets._table_columns import ColumnChoice, choose_word_columns
from nrjax.datasets._table_target import read_target
from nrjax.datasets._tables import Table
from nrjax.datasets._words import Words
from nrjax.target_tasks import TaskName

IGNORED = -100  # the id of no class: PyTorch's losses leave it out
OUTSIDE = "O"
_PREFIX = re.compile(r"[BIELSUM]-(?=.)")  # where a word stands in its chunk


class WordTable:
    """Sentences with a tag for every word: a sample is a word, and its group the sentence, or the row's own group.

    Attributes:
      kind: `words`.
      task: of the tags.
      labels: class ids of the words, or numbers.
      class_names: of the ids, without prefixes such as `B-` unless they are to be kept.
      groups: of every word.
      remark: what was left out or changed; empty where nothing was.
    """

    kind = "words"

    def __init__(
        self, columns: Columns, who: str, names: tuple[str, str], choice: ColumnChoice, task: TaskName | None,
        class_names: Sequence[str] | None,
    ):  # fmt: skip
        self._who, self._columns, self._choice, self._names = who, columns, choice, class_names
        self._label = names[1]
        self._sentences, self._tags = columns[names[0]], columns[names[1]]
        if choice.groups is not None and choice.groups not in columns:
            raise ValueError(f"{who} has no column {choice.groups!r} for the groups; it has {', '.join(columns)}.")
        if not len(self._sentences):
            raise ValueError(f"{who} has no rows.")
        self.task: TaskName = task or "classification"
        self._task: TaskName | None = task
        self.remark = ""
        self.labels, self.groups, self.class_names = np.zeros(0, np.int64), np.zeros(0, object), list[str]()

    def check_labels(self, *, skip_broken: bool) -> None:
        """Reads all words with their tags.

        Raises:
          ValueError: a row with other numbers of words and tags, or a word that is empty or without a tag, unless those
            may be left out; tags that fit no task.
        """
        sentences, rows, problems = self._read_sentences()
        words = [(i, place, tag) for i, (_, tags) in enumerate(sentences) for place, tag in enumerate(tags)]
        ignored = sum(_is_ignored(tag) for _, _, tag in words)
        words = [word for word in words if not _is_ignored(word[2])]
        untagged = [f"{self._where(rows[i], place)} has no tag." for i, place, tag in words if self._has_none(tag)]
        words = [word for word in words if not self._has_none(word[2])]
        if (problems or untagged) and not skip_broken:
            count = len(problems) + len(untagged)
            raise ValueError(
                f"{self._who}: {[*problems, *untagged][0]} {f'{count:,} are like that. ' if count > 1 else ''}Mend "
                "them, or leave them out: skip_broken=True, on the command line --skip-broken."
            )
        if not words:
            raise ValueError(f"{self._who}: none of its words has a tag.")
        tags, class_names, stripped = self._without_prefixes([tag for *_, tag in words])
        where = lambda k: self._where(rows[words[k][0]], words[k][1])  # noqa: E731
        try:
            target = read_target([tags], [self._label], class_names, self._task, where)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{self._who}, column {self._label!r}: {error}") from error
        self.task, self.labels, self.class_names = target.task, target.labels, target.class_names
        no_class = ignored + len(target.unlabelled)
        sentence = np.array([i for i, *_ in words], np.int64)
        self._words = Words([words for words, _ in sentences], sentence, np.array([word[1] for word in words]))
        self.groups = self._groups_of(np.array(rows)[sentence])
        self.remark = " ".join(filter(None, (
            _left_out("rows", problems, len(self._sentences)), _left_out("words", untagged, len(words) + len(untagged)),
            f"Left out {no_class:,} words of id {IGNORED} or -1, which is no class." if no_class else "", stripped,
        )))  # fmt: skip

    def samples(self, indices: np.ndarray) -> Words:
        """The words at `indices`."""
        return self._words.take(indices)

    def broken(self, indices: np.ndarray) -> dict[int, str]:
        """Nothing: `check_labels` has left out what cannot be used."""
        return {}

    def of_several_groups(self, indices: np.ndarray) -> np.ndarray:
        """The words at `indices` without those of tags that one group alone has, which nothing else could know."""
        if self.task != "classification":
            return indices
        groups = np.unique(self.groups[indices].astype(str), return_inverse=True)[1]
        labels = self.labels[indices]
        pairs = np.unique(np.stack([labels, groups]), axis=1)
        classes, counts = np.unique(pairs[0], return_counts=True)
        alone = classes[counts == 1]
        if not len(alone) or len(alone) == len(classes):
            return indices
        listed = ", ".join(self.class_names[i] for i in alone[:8]) + (", ..." if len(alone) > 8 else "")
        chosen = ~np.isin(labels, alone)
        noun = "sentence" if self._choice.groups is None else "group"
        remark = f"Left out words of tags that occur in one {noun} alone, {int((~chosen).sum()):,} in all: {listed}."
        self.remark = f"{self.remark} {remark}".strip()
        return indices[chosen]

    def _read_sentences(self) -> tuple[list[tuple[list[str], list[Any]]], list[int], list[str]]:
        """Words and tags of the rows that can be used, the index of each row, and what is wrong with the others."""
        sentences, rows, problems = [], [], []
        for i, cells in enumerate(zip(self._sentences, self._tags, strict=True)):
            words, tags = map(_as_list, cells)
            problem = _row_problem(words, tags)
            if problem:
                problems.append(f"{self._columns.row(i)} {problem}")
            elif words and tags:
                sentences.append((words, tags))
                rows.append(i)
        return sentences, rows, problems

    def _has_none(self, tag: object) -> bool:
        """Whether a tag is missing: an empty cell, or no id of a named class."""
        return is_missing(tag) or (self._names is not None and tag not in range(len(self._names)))

    def _without_prefixes(self, tags: list[Any]) -> tuple[list[Any], list[str] | None, str]:
        """Tags, the names of their ids, and what to say, where all tags but `O` have prefixes; else as they are."""
        names = dict.fromkeys(self._names if self._names is not None else tags)
        have_prefixes = all(isinstance(name, str) and (name == OUTSIDE or _PREFIX.match(name)) for name in names)
        if self._choice.keep_prefixes or not have_prefixes or set(names) <= {OUTSIDE}:
            return tags, None if self._names is None else list(self._names), ""
        chunks = list(dict.fromkeys(_PREFIX.sub("", name, count=1) for name in names))
        remark = (
            f"Tags are taken without their prefixes, such as B- and I-: {len(names)} tags are {len(chunks)} classes; "
            "load_dataset(..., keep_prefixes=True) keeps them."
        )
        if self._names is None:
            return [_PREFIX.sub("", tag, count=1) for tag in tags], None, remark
        ids = [chunks.index(_PREFIX.sub("", name, count=1)) for name in self._names]
        return [ids[int(tag)] for tag in tags], chunks, remark

    def _groups_of(self, rows: np.ndarray) -> np.ndarray:
        if self._choice.groups is None:
            return rows
        cells = self._columns[self._choice.groups]
        wrong = next((i for i in rows if is_missing(cells[i])), None)
        if wrong is not None:
            raise ValueError(
                f"{self._who}: {self._columns.row(wrong)} has no group in column {self._choice.groups!r}. Remove such "
                "rows, or give each a group of its own."
            )
        groups = np.empty(len(rows), object)
        groups[:] = [cells[i] for i in rows]
        return groups

    def _where(self, row: int, place: int) -> str:
        return f"word {place + 1} of {self._columns.row(row)}"


def labelled_table(
    columns: Columns, who: str, base: Path, choice: ColumnChoice, task: TaskName | None,
    class_names: Sequence[str] | None = None,
) -> Table | WordTable:  # fmt: skip
    """A table of sentences with tags, where it has columns of lists of both; else one with a label in every row."""
    names = choose_word_columns(who, columns, choice)
    if names is not None:
        return WordTable(columns, who, names, choice, task, class_names)
    return Table(columns, who, base, choice, task, class_names)


def _as_list(cell: object) -> list[Any] | None:
    """A list; of a text its parts between blanks, or the list that it is the text of; None for anything else."""
    if isinstance(cell, str):
        return list_in_text(cell) if cell.strip().startswith("[") else cell.split()
    if not isinstance(cell, (list, tuple, np.ndarray)) or (isinstance(cell, np.ndarray) and cell.ndim != 1):
        return None
    return [value.item() if isinstance(value, np.generic) else value for value in cell]


def _row_problem(words: list[Any] | None, tags: list[Any] | None) -> str | None:
    """What is wrong with the words and tags of a row; None where nothing is."""
    for role, cells in (("words", words), ("tags", tags)):
        if cells is None:
            return f"has no list of {role}."
    assert words is not None
    assert tags is not None
    if len(words) != len(tags):
        return f"has {len(words)} words and {len(tags)} tags."
    for place, word in enumerate(words):
        problem = text_problem(word)
        if problem:
            return f"has a word, number {place + 1}, that {problem}"
    return None


def _is_ignored(tag: object) -> bool:
    return isinstance(tag, (int, float)) and tag == IGNORED


def _left_out(noun: str, problems: list[str], total: int) -> str:
    if not problems:
        return ""
    listed = " ".join(problems[:10]) + (" ..." if len(problems) > 10 else "")
    return f"Left out {len(problems):,} of {total:,} {noun}: {shortened(listed, 1000)}"
