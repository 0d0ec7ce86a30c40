"""`load_dataset`: labelled images, texts, pairs, words, recordings or arrays, from wherever they are."""

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nrjax._utils.messages import printable
from nrjax.datasets._archives import Archive
from nrjax.datasets._check_images import WAY_OUT, CheckedImages, decode_all
from nrjax.datasets._check_recordings import check_all
from nrjax.datasets._dataset import Dataset
from nrjax.datasets._decode import without_news
from nrjax.datasets._image_arrays import stack
from nrjax.datasets._lazy_images import Images, ImageSource
from nrjax.datasets._load_positions import load_positions
from nrjax.datasets._open import expand_home, open_source
from nrjax.datasets._select import resolve_classes, select
from nrjax.datasets._table_columns import ColumnChoice
from nrjax.datasets._tables import Table
from nrjax.datasets._word_tables import WordTable
from nrjax.target_tasks import TaskName


def load_dataset(
    name: object,
    split: str = "test",
    *,
    classes: str | Iterable[int | str] | None = None,
    text: str | Sequence[str] | None = None,
    image: str | None = None,
    label: str | Sequence[str] | None = None,
    groups: str | None = None,
    tokens: str | None = None,
    keep_prefixes: bool = False,
    audio: str | None = None,
    mask: str | None = None,
    task: TaskName | None = None,
    image_size: tuple[int, int] | None = None,
    grayscale: bool | None = None,
    max_samples: int | None = None,
    seed: int = 0,
    data_dir: str | Path | None = None,
    skip_broken: bool = False,
) -> Dataset:
    """Labelled images, texts, recordings or arrays of one split.

    Args:
      name: a TFDS name (`"fashion_mnist"`, `"cifar10:3.0.2"`) or the folder that TFDS prepared; the path of a directory
        with one folder of images, or of recordings (WAV, FLAC, OGG, MP3), per class, at any depth, in natural order
        (folders of splits, such as `train`, `training_set` or `seg_train`, are entered first); of a `.npz` file with
        arrays `images` and `labels` (and, if there, `class_names`), or such arrays of splits as MedMNIST and Keras
        write them; of a table, `.csv`, `.tsv`, `.parquet`, `.json` or JSON lines (`.jsonl`); of a directory of Parquet
        files; of CoNLL files (`.conll`, `.txt`: a word and its tag a line), one or a directory with one a split; or of
        a directory that Hugging Face's `datasets` saved. Or an object: a frame of pandas, polars or pyarrow, a
        `datasets.Dataset`, a data set of PyTorch, whose items are `(sample, label)` or, as torchaudio has them,
        `(waveform, rate, label, ...)`.
      split: a split of the dataset, several joined by `+`, or `all`. A table has one split, so any name selects it.
      classes: class ids or names to keep, or a string such as `"0-4"`, `"0,3,7-9"` or `"cat,dog"`; None keeps all.
      text: column of texts of a table. Two columns, such as `["premise", "hypothesis"]`, are pairs. Three or more are
        joined by line breaks. None takes `text`, `sentence` or `content`, if there is one.
      image: column of paths of images, relative to the table, or of pictures; None takes `image`, `path` or `file`. A
        table without texts and images must hold numbers.
      label: column of labels; None takes `label`, `labels`, `target`, `class` or `category`. Several columns are
        several numbers per sample, or several labels per sample if they have 0 and 1.
      groups: column of groups, such as patients; `max_samples` then draws whole groups.
      tokens: column of lists of words; `label` then names a column of lists of tags, one tag per word. None takes
        `tokens` or `words` beside lists in `label`, `ner_tags`, `tags` or `pos`. Samples are then words, and sentences
        are groups.
      keep_prefixes: whether tags keep `B-`, `I-`, `E-`, `L-`, `M-`, `S-`, `U-`: the position of a word in its chunk.
      audio: column of paths of recordings, within the table's folder, or of the bytes of files; None takes `audio`, or
        `path` or `file` if its files have the endings of recordings.
      mask: column of masks for `task="positions"`; None takes `mask`, `annotation` or `segmentation`.
      task: `classification`, `regression` or `multilabel` (lists of labels, texts such as `red|green`, columns of 0 and
        1). None finds it from the values, and raises an error if two tasks are possible. `positions` are classes of
        places in pictures. They need a pair `(images, masks)`, a directory with folders `images` and `masks` whose
        files have the same names, a table with a column of each, or a data set of PyTorch with items `(image, mask)`.
        Masks have class ids, and 255 for no class; see `draw_positions`.
      image_size: `(height, width)` to resize to, bilinear. None keeps the size; models resize images themselves.
      grayscale: True for one channel, False for three, None for the channels of the images.
      max_samples: keep at most so many, in the proportions of the classes; deterministic for a `seed`.
      seed: random seed of `max_samples`.
      data_dir: where TFDS keeps its datasets; None is `$TFDS_DATA_DIR` or `~/tensorflow_datasets`.
      skip_broken: leave out images that cannot be read, recordings that are silent or broken, texts that are
        missing or empty, rows without a number or a label, with a warning that counts and names them.

    Returns:
      A `Dataset`, which unpacks as `samples, labels, class_names`, samples in the order of the dataset.

    Raises:
      ValueError: unknown dataset, split, class or column; a label that is missing; a range like `7-3`; an image that
        cannot be read (it is named).
      FileNotFoundError: the dataset is not prepared; the message has the command that prepares it.

    Examples:
      >>> np.savez("shirts.npz", images=images, labels=labels)
      >>> data = nrjax.load_dataset("shirts.npz", classes="0-2", max_samples=90)
      >>> data.samples.shape, np.bincount(data.labels)
      ((90, 28, 28, 1), array([30, 30, 30]))
    """
    if max_samples is not None and max_samples < 1:
        raise ValueError(f"max_samples must be at least 1; got {max_samples}.")
    name = expand_home(name)
    choice = ColumnChoice(text, image, label, groups, tokens, keep_prefixes, audio, mask)
    if task == "positions":
        if image_size is not None:
            raise ValueError("positions are fractions of a picture as it is; leave image_size out.")
        return load_positions(
            name, split, choice, classes=classes, max_samples=max_samples, seed=seed, grayscale=grayscale,
            skip_broken=skip_broken,
        )  # fmt: skip
    source = open_source(name, split, data_dir, choice, task, skip_broken)
    who = f"Dataset {printable(str(name)[:200])!r}" if isinstance(name, (str, Path)) else "The data set"
    table = source if isinstance(source, (Table, WordTable)) else None
    if table is not None:
        table.check_labels(skip_broken=skip_broken)
    labels, groups_of_rows, class_names = source.labels, table.groups if table else None, tuple(source.class_names)
    task_of_data = table.task if table else "classification"
    if task_of_data == "classification":
        class_ids = resolve_classes(classes, source.class_names)
        indices = select(labels, class_ids, max_samples, seed, groups_of_rows)
        if not len(indices):
            raise ValueError(f"{who}, split {split!r}: no samples of classes {class_ids}.")
    else:
        if classes is not None:
            raise ValueError(f"{who}: classes= chooses among classes; labels of task {task_of_data!r} have none.")
        # Rows without a label are in class 1, which is not chosen.
        unlabelled = np.isnan(labels.reshape(len(labels), -1)).any(axis=1).astype(int)
        indices = select(unlabelled, [0], max_samples, seed, groups_of_rows)
    if isinstance(table, WordTable):
        indices = table.of_several_groups(indices)
    samples: Any
    if isinstance(source, Archive):
        return Dataset(source.fitted(indices, image_size, grayscale), source.labels[indices], class_names)
    if getattr(source, "kind", "image") == "audio":
        samples, usable, left_out = check_all(source, indices, skip_broken, who)  # pyright: ignore
    elif table is not None and table.kind != "image":
        usable, left_out = _usable_rows(table, indices, skip_broken)
        samples = table.samples(usable)
    else:
        assert not isinstance(source, WordTable)
        with without_news:
            checked = decode_all(source, indices, image_size, grayscale, skip_broken)
        usable, left_out = checked.indices, checked.left_out
        samples = _image_samples(source, checked, image_size, grayscale)
    _warn_of_left_out(source, left_out, len(indices))
    if not len(usable):
        raise ValueError(f"{who}, split {split!r}: none of its samples can be read.")
    groups_of_samples = None if groups_of_rows is None else groups_of_rows[usable]
    return Dataset(samples, labels[usable], class_names, task_of_data, groups_of_samples)


def _usable_rows(table: Table | WordTable, indices: np.ndarray, skip_broken: bool) -> tuple[np.ndarray, list[str]]:
    """The rows with a text or with finite numbers, and what is wrong with the others.

    Raises:
      ValueError: the first broken row, unless broken rows are left out.
    """
    broken = table.broken(indices)
    if broken and not skip_broken:
        count = f" {len(broken):,} of {len(indices):,} rows are like that." if len(broken) > 1 else ""
        raise ValueError(f"{next(iter(broken.values()))}{count} {WAY_OUT}")
    return np.array([i for i in indices if int(i) not in broken], np.int64), list(broken.values())


def _image_samples(
    source: ImageSource | Table, checked: CheckedImages, image_size: tuple[int, int] | None, grayscale: bool | None
) -> np.ndarray | Images:
    """One array, where the images are in memory and of one size; else `Images`."""
    held = checked.held
    if isinstance(held, np.ndarray):
        return held
    if held and len({image.shape[:2] for image in held}) == 1:
        return stack(held)
    return Images(source, checked.indices, image_size, grayscale, held, checked.depth)


def _warn_of_left_out(source: ImageSource | Table | WordTable, broken: list[str], count: int) -> None:
    """Warns once of all samples of a data set that are left out, and of the files beside them."""
    earlier = source.left_out if isinstance(source, Table) else []
    broken = [*earlier, *broken]
    remark = getattr(source, "remark", None)
    if broken:
        kind = getattr(source, "kind", "image")
        noun = {"image": "images", "audio": "recordings"}.get(kind, "rows")
        listed = " ".join(broken[:10]) + (" ..." if len(broken) > 10 else "")
        total = count + len(earlier)
        warnings.warn(f"Left out {len(broken)} of {total} {noun}: {listed}", RuntimeWarning, stacklevel=3)
    if remark:
        warnings.warn(remark, RuntimeWarning, stacklevel=3)
