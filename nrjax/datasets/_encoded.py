"""Images that are decoded when they are asked for, each of its own size; checked once, kept only while they are few."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol, overload

import numpy as np
from PIL import Image

from nrjax.datasets._images import BrokenImage, decode, fit_images, of_picture, stack

MOST_HELD = 1 << 30  # bytes of decoded images that stay in memory
CHUNK = 256  # images that are read before they are decoded in threads


class Source(Protocol):
    """Labelled images, by their place; encoded, or arrays."""

    class_names: list[str]
    labels: np.ndarray

    def images(self, indices: np.ndarray) -> Iterator[tuple[str, bytes | Path | np.ndarray]]:
        """Name and content of each."""
        ...


class Images(Sequence[np.ndarray]):
    """Images as uint8 `[height, width, channels]`, in any sizes; `np.asarray` of it needs one size.

    Attributes:
      held: the decoded images, while they are few.
    """

    def __init__(
        self, source: Source, indices: np.ndarray, image_size: tuple[int, int] | None, grayscale: bool | None,
        held: list[np.ndarray] | None = None,
    ):  # fmt: skip
        self._source, self._indices, self._size, self._grayscale = source, indices, image_size, grayscale
        self.held = held

    @classmethod
    def of(cls, arrays: Sequence[Any]) -> "Images":
        """Of arrays in memory.

        Raises:
          ValueError: one is no uint8 image.
        """
        held = [np.asarray(one) for one in arrays]
        held = [one[:, :, None] if one.ndim == 2 else one for one in held]
        for i, one in enumerate(held):
            if one.ndim != 3 or one.dtype != np.uint8 or one.shape[2] not in (1, 3):
                raise ValueError(
                    f"images of several sizes must be uint8 (height, width, 1 or 3); image {i} is {one.dtype} "
                    f"{one.shape}."
                )
        return cls(_Nothing(), np.arange(len(held)), None, None, held)

    def __len__(self) -> int:
        return len(self._indices)

    def take(self, rows: np.ndarray) -> "Images":
        """Some of them, in this order."""
        held = None if self.held is None else [self.held[i] for i in rows]
        return Images(self._source, self._indices[rows], self._size, self._grayscale, held)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if self.held is not None:
            return self.held[index]
        ((who, item),) = self._source.images(self._indices[[index]])
        return _decoded(who, item, self._size, self._grayscale)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of them. Raises ValueError where the sizes differ."""
        return stack(self).astype(dtype or np.uint8, copy=False)


class Checked(NamedTuple):
    """Images that can be read.

    Attributes:
      indices: of them.
      held: they themselves, decoded, while they are few.
      left_out: what is wrong with the others.
    """

    indices: np.ndarray
    held: list[np.ndarray] | None
    left_out: list[str]


def check_all(
    source: Source, indices: np.ndarray, image_size: tuple[int, int] | None, grayscale: bool | None, skip_broken: bool
) -> Checked:
    """Decodes every image once, in threads, so that a broken one is known before any model runs.

    Raises:
      BrokenImage: the first that cannot be read, unless they are to be left out.
    """
    held: list[np.ndarray] | None = []
    total, good, left_out = 0, [], []

    def attempt(named: tuple[str, Any]) -> np.ndarray | BrokenImage:
        try:
            return _decoded(*named, image_size, grayscale)
        except BrokenImage as error:
            return error

    with ThreadPoolExecutor(thread_name_prefix="nrjax-decode") as pool:
        for start in range(0, len(indices), CHUNK):
            some = indices[start : start + CHUNK]
            for index, image in zip(some, pool.map(attempt, source.images(some)), strict=True):
                if isinstance(image, BrokenImage):
                    if not skip_broken:
                        way_out = "skip_broken=True, on the command line --skip-broken, leaves it out."
                        raise BrokenImage(f"{image} {way_out}") from image
                    left_out.append(str(image))
                    continue
                good.append(index)
                total += image.nbytes
                if held is not None:
                    held.append(image)
            held = held if total <= MOST_HELD else None
    return Checked(np.array(good, dtype=np.int64), held, left_out)


class _Nothing:
    class_names: list[str] = []  # noqa: RUF012
    labels = np.zeros(0, np.int64)

    def images(self, indices: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        raise AssertionError  # all of them are held


def _decoded(who: str, item: Any, image_size: tuple[int, int] | None, grayscale: bool | None) -> np.ndarray:
    if isinstance(item, Image.Image):
        return of_picture(item, who, image_size, grayscale)
    if not isinstance(item, np.ndarray):
        return decode(item, image_size, grayscale, who)
    item = item[:, :, None] if item.ndim == 2 else item
    height, width = image_size or item.shape[:2]
    channels = item.shape[2] if grayscale is None else 1 if grayscale else 3
    return fit_images(item[None], (height, width, channels))[0]
