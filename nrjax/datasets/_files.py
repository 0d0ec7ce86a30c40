"""Features and labels in files, from any framework: `.npy`, `.npz`, `.safetensors`. Pickled objects are refused."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  (registers bfloat16 with NumPy)
import numpy as np

SUFFIXES = (".npy", ".npz", ".safetensors")


class FeatureFiles(Mapping[str, Any]):
    """Arrays of a directory by file name without suffix, each read when it is looked up, and not kept.

    Raises:
      ValueError: the directory holds no such file, or two of one name.
    """

    def __init__(self, directory: str | Path, *, skip: Path | None = None):
        files = sorted(p for p in Path(directory).iterdir() if p.suffix in SUFFIXES and p.is_file())
        if skip is not None:
            files = [p for p in files if not p.samefile(skip)]
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
    """The array in a file; of several, the one called `key`.

    Raises:
      ValueError: the file is corrupt, holds pickled objects, or several arrays and none called `key`.
    """
    try:
        if path.suffix == ".safetensors":
            import safetensors.numpy

            arrays = dict(safetensors.numpy.load_file(path))
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                names = archive.files
                arrays = {name: archive[name] for name in ([key] if key in names else names)}
        else:
            return np.load(path, allow_pickle=False)
    except Exception as error:  # zip, header, safetensors and pickle refusals each have their own
        if "allow_pickle" in str(error):
            raise ValueError(
                f"{path.name} holds pickled objects, which are refused; save an array of numbers."
            ) from error
        raise ValueError(f"{path.name} cannot be read: {error}") from error
    if key not in arrays and len(arrays) != 1:
        raise ValueError(
            f"{path.name} holds {len(arrays)} arrays ({', '.join(sorted(arrays))}); call one of them {key!r}."
        )
    return arrays[key] if key in arrays else next(iter(arrays.values()))


def read_labels(path: Path) -> np.ndarray:
    """Labels, one per sample: an array file (key `labels`), or text with one label per line."""
    if path.suffix in SUFFIXES:
        return read_array(path, "labels")
    try:
        return np.array([line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()])
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is neither text nor one of {', '.join(SUFFIXES)}.") from error
