"""Features and labels in files, from any framework: `.npy`, `.npz`, `.safetensors`. Pickled objects are refused."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  (registers bfloat16 with NumPy)
import numpy as np

from nrjax._utils.messages import first_line, printable
from nrjax._utils.paths import check_regular, is_system_file
from nrjax.datasets._text_files import open_text

SUFFIXES = (".npy", ".npz", ".safetensors")
MOST_TEXT = 1 << 28  # bytes of labels
LONGEST_LABEL = 1000
MARKS = " \t\v\f\ufeff"


class FeatureFiles(Mapping[str, Any]):
    """Arrays of a directory by file name without suffix. Each is read when it is looked up, and not kept.

    Raises:
      ValueError: the directory holds no such file, or two of one name.
    """

    def __init__(self, directory: str | Path, *, skip: Sequence[Path] = ()):
        paths = Path(directory).iterdir()
        files = sorted(p for p in paths if p.suffix.lower() in SUFFIXES and not is_system_file(p.name))
        files = [p for p in files if not any(p.exists() and p.samefile(one) for one in skip)]
        if not files:
            raise ValueError(
                f"{str(directory)!r} holds no features: expected files {', '.join(SUFFIXES)}, one per model."
            )
        self._files = {p.stem: p for p in files}
        if len(self._files) < len(files):
            twice = sorted(p.name for p in files if self._files[p.stem] != p)
            raise ValueError(f"{str(directory)!r} has two files of one name: {', '.join(twice)}.")

    def __getitem__(self, name: str) -> Any:
        return read_array(self._files[name], "features")

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def read_array(path: Path, key: str) -> Any:
    """The array in a file; of several arrays, the one called `key`.

    Raises:
      ValueError: the file is corrupt, holds pickled objects, or several arrays and none called `key`.
    """
    check_regular(path)
    try:
        return _load_array(path, key)
    except Exception as error:  # zip, header, safetensors and pickle refusals each have their own
        if "allow_pickle" in str(error):
            raise ValueError(
                f"{printable(path.name)} holds pickled objects, which are refused; save an array of numbers."
            ) from error
        raise ValueError(f"{printable(path.name)} cannot be read: {first_line(error)}") from error


def _load_array(path: Path, key: str) -> Any:
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        import safetensors.numpy

        arrays = safetensors.numpy.load_file(path)
        return arrays[_choose_name(list(arrays), key)]
    if suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return archive[_choose_name(archive.files, key)]
    return np.load(path, allow_pickle=False)


def _choose_name(names: list[str], key: str) -> str:
    """The name of the array to read: `key`, or the only one. Raises ValueError where several have other names."""
    if key in names or len(names) == 1:
        return key if key in names else names[0]
    listed = ", ".join(repr(name[:40]) for name in sorted(names)[:5]) + (", ..." if len(names) > 5 else "")
    raise ValueError(f"it holds {len(names)} arrays ({listed}); call one of them {key!r}.")


def read_labels(path: Path, key: str = "labels") -> np.ndarray:
    """Labels, one per sample: an array file (by its key), or text in UTF-8 or marked UTF-16, a label per line.

    Raises:
      ValueError: the file is neither; a line is no label.
    """
    if path.suffix.lower() in SUFFIXES:
        return read_array(path, key)
    name = printable(path.name)
    if check_regular(path).stat().st_size > MOST_TEXT:
        raise ValueError(f"{name} is larger than {MOST_TEXT:,} bytes; expected a label per line.")
    with open_text(path) as file:
        text = file.read()
    # Editors and spreadsheets write any line end, quotes, and byte order marks between files that were joined.
    lines = [line.strip(MARKS) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    lines = [line[1:-1] if len(line) > 2 and line[0] == line[-1] == '"' else line for line in lines]
    for number, line in enumerate(lines, start=1):
        if len(line) > LONGEST_LABEL or "\0" in line:
            problem = "a NUL" if "\0" in line else f"{len(line):,} characters"
            raise ValueError(f"{name}: line {number} has {problem}; expected a label per line, as text in UTF-8.")
    while lines and not lines[-1]:
        lines.pop()
    if "" in lines:
        raise ValueError(f"{name}: line {lines.index('') + 1} is empty; expected a label per line.")
    return np.array(lines)
