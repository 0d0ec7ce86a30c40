"""CoNLL files: a word and its tags a line, a blank line between sentences."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from nrjax._utils.messages import printable, shortened
from nrjax._utils.paths import is_system_file, natural_sort_key
from nrjax.datasets._columns import Columns, Place
from nrjax.datasets._splits import choose_splits, split_word
from nrjax.datasets._text_files import open_text

SUFFIXES = (".conll", ".conllu", ".bio", ".iob", ".iob2")
TOKENS, TAGS = "words", "tags"  # the first and the last column
UNIVERSAL = ("id", "words", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")  # of CoNLL-U
DOCUMENT = "-DOCSTART-"
LOOKED_AT = 50  # lines of a .txt file that say whether it has this form
_COMMENT = re.compile(r"#\s*(id|sent_id|text|newdoc|newpar|global\.columns)\b")


class _Sentence(NamedTuple):
    line: int  # of its first word
    rows: list[list[str]]  # fields of every word


def is_conll(path: Path) -> bool:
    """Whether a path is a CoNLL file, by its ending or, of a `.txt` file, by its first lines."""
    suffix = path.suffix.lower()
    if is_system_file(path.name) or suffix not in (*SUFFIXES, ".txt") or not path.is_file():
        return False
    return suffix != ".txt" or _has_form(path)


def conll_files(root: Path) -> list[Path]:
    """The CoNLL files of a directory, or those of its folders, in natural order; of `.txt` files those of splits."""
    for pattern in ("*", "*/*"):
        files = [path for path in root.glob(pattern) if path.suffix.lower() in SUFFIXES and is_conll(path)]
        files = files or [path for path in root.glob(f"{pattern}.txt") if _split_of(path, root) and is_conll(path)]
        if files:
            return sorted(files, key=lambda path: natural_sort_key(str(path)))
    return []


def open_conll(who: str, path: Path, split: str) -> Columns:
    """The columns of a file, or of the requested splits of a directory; of all files where some say no split.

    Raises:
      ValueError: there is no such split, or a line with another number of fields.
    """
    if path.is_file():
        return _columns([path])
    by_split: dict[str, list[Path]] = {}
    for file in conll_files(path):
        by_split.setdefault(_split_of(file, path), []).append(file)
    names = list(by_split) if "" in by_split else choose_splits(who, split, by_split)
    return _columns([file for name in names for file in by_split[name]])


def _split_of(path: Path, root: Path) -> str:
    folder = path.parent.name if path.parent != root else ""
    return next((name for name in (path.stem, folder) if split_word(name)), "")


def _columns(paths: list[Path]) -> Columns:
    """Columns of lists, a row a sentence: `words`, the last `tags`, and those between them by their number from 1."""
    sentences: list[_Sentence] = []
    places: list[str] = []
    for path in paths:
        of_file = list(_read(path))
        sentences += of_file
        places += [f"line {sentence.line} of {printable(path.name)}" for sentence in of_file]
    widths = {len(row) for sentence in sentences for row in sentence.rows}
    if len(widths) > 1:
        raise ValueError(f"{printable(paths[0].name)} and those beside it have other numbers of columns: {widths}.")
    width = widths.pop() if widths else 2
    is_universal = any(path.suffix.lower() == ".conllu" for path in paths) and width == len(UNIVERSAL)
    names = UNIVERSAL if is_universal else (TOKENS, *map(str, range(2, width)), TAGS)
    return Columns(
        names,
        lambda name: [[row[names.index(name)] for row in sentence.rows] for sentence in sentences],
        Place("{}", places),
    )


def _read(path: Path) -> Iterator[_Sentence]:
    """Sentences of a file.

    Raises:
      ValueError: a line with one field, or another number of fields than the first.
    """
    sentence, width, start, is_universal = [], 0, 0, path.suffix.lower() == ".conllu"
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            text = line.strip("\r\n ")
            if not text.strip():
                if sentence:
                    yield _Sentence(start, sentence)
                sentence = []
                continue
            if not sentence and (_COMMENT.match(text) or (is_universal and text.startswith("#"))):
                continue
            fields = _fields(text)
            if fields[0] == DOCUMENT:
                continue
            if is_universal and not fields[0].isdecimal():  # several words written as one, or a word that is not there
                continue
            width = width or len(fields)
            if len(fields) != width or width < 2:
                expected = f"{width} fields as before" if width > 1 else "a word and its tag"
                raise ValueError(
                    f"{printable(path.name)}: line {number} must have {expected}; it has {len(fields)}: "
                    f"{shortened(printable(text), 60)!r}. A blank line ends a sentence."
                )
            start = start if sentence else number
            sentence.append(fields)
    if sentence:
        yield _Sentence(start, sentence)


def _fields(text: str) -> list[str]:
    return text.split("\t") if "\t" in text else [field for field in text.split(" ") if field]


def _has_form(path: Path) -> bool:
    """Whether the first lines of a file have two or more fields, all the same number, and blank lines among them."""
    widths, blanks = set(), 0
    try:
        with open_text(path) as file:
            for line, _ in zip(file, range(LOOKED_AT), strict=False):
                text = line.strip("\r\n ")
                if not text.strip():
                    blanks += 1
                elif not _COMMENT.match(text) and not text.startswith(DOCUMENT):
                    widths.add(len(_fields(text)))
    except (ValueError, OSError):
        return False
    return len(widths) == 1 and min(widths) > 1 and blanks > 0
