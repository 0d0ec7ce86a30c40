"""Images that are decoded when they are asked for, each of its own size; checked once, kept only while they are few."""

import collections
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, overload

import numpy as np
from PIL import Image

from nrjax.datasets._images import BrokenImage, as_picture, decode, of_picture, stack
from nrjax.datasets._seen import Depth

MOST_HELD = 1 << 30  # bytes of decoded images that stay in memory
CHUNK = 256  # images that are asked for together
MOST_AHEAD = 1 << 28  # bytes of images that are decoded before the one that is waited for
THREADS = min(32, (os.cpu_count() or 1) + 4)


class Source(Protocol):
    """Labelled images, by their place; encoded, or arrays."""

    class_names: list[str]
    labels: np.ndarray

    def images(self, indices: np.ndarray) -> Iterator[tuple[str, Any]]:
        """Name and content of each: bytes, a path, an array, a picture, or the `BrokenImage` that it is."""
        ...


class Images(Sequence[np.ndarray]):
    """Images as uint8 `[height, width, channels]`, in any sizes; `np.asarray` of it needs one size.

    Attributes:
      held: the decoded images, while they are few.
    """

    def __init__(
        self, source: Source, indices: np.ndarray, image_size: tuple[int, int] | None, grayscale: bool | None,
        held: list[np.ndarray] | None = None, depth: Depth | None = None,
    ):  # fmt: skip
        self._source, self._indices, self._size, self._grayscale = source, indices, image_size, grayscale
        self.held, self._depth = held, depth

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
        return Images(self._source, self._indices[rows], self._size, self._grayscale, held, self._depth)

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
        return _decoded(who, item, self._size, self._grayscale, self._depth)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of them. Raises ValueError where the sizes differ."""
        return stack(self).astype(dtype or np.uint8, copy=False)


class Checked(NamedTuple):
    """Images that can be read.

    Attributes:
      indices: of them.
      held: they themselves, decoded, while they are few: one array, or a list where they differ in size.
      left_out: what is wrong with the others.
      depth: what their 16 bits hold.
    """

    indices: np.ndarray
    held: np.ndarray | list[np.ndarray] | None
    left_out: list[str]
    depth: Depth


def check_all(
    source: Source, indices: np.ndarray, image_size: tuple[int, int] | None, grayscale: bool | None, skip_broken: bool,
    depth: Depth | None = None,
) -> Checked:  # fmt: skip
    """Decodes every image once, in threads, so that a broken one is known before any model runs.

    Raises:
      BrokenImage: the first that cannot be read, unless they are to be left out.
    """
    held, good, left_out = _Held(len(indices)), [], []
    depth = depth or Depth()

    def attempt(named: tuple[str, Any]) -> np.ndarray | BrokenImage:
        try:
            return _decoded(*named, image_size, grayscale, depth)
        except BrokenImage as error:
            return error

    for index, image in zip(indices, _in_threads(attempt, source, indices), strict=True):
        if isinstance(image, BrokenImage):
            if not skip_broken:
                way_out = "skip_broken=True, on the command line --skip-broken, leaves it out."
                raise BrokenImage(f"{image} {way_out}") from image
            left_out.append(str(image))
        else:
            good.append(index)
            held.add(image)
    if depth.mixed:  # what looked like 12 bits are dark pictures of 16
        return check_all(source, indices, image_size, grayscale, skip_broken, Depth(twelve=False))
    return Checked(np.array(good, dtype=np.int64), held.all(), left_out, depth)


def _in_threads(attempt: Any, source: Source, indices: np.ndarray) -> Iterator[np.ndarray | BrokenImage]:
    """Images in order; as many are decoded ahead as there are threads, and fewer where they are large."""
    waiting: collections.deque[Future] = collections.deque()
    ahead = largest = 1
    with ThreadPoolExecutor(THREADS, thread_name_prefix="nrjax-decode") as pool:
        try:
            for start in range(0, len(indices), CHUNK):
                for named in source.images(indices[start : start + CHUNK]):
                    waiting.append(pool.submit(attempt, named))
                    while len(waiting) > ahead:
                        image = waiting.popleft().result()
                        largest = max(largest, getattr(image, "nbytes", 1))
                        ahead = max(1, min(THREADS, MOST_AHEAD // largest))
                        yield image
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class _Held:
    """Decoded images: rows of one array that is filled as they come, while they are of one shape; else a list.

    Attributes:
      images: all that were added; None where they are too many.
    """

    def __init__(self, count: int):
        self.images: list[np.ndarray] | None = []
        self._count, self._bytes = count, 0
        self._room: np.ndarray | None = None

    def add(self, image: np.ndarray) -> None:
        self._bytes += image.nbytes
        if self._bytes > MOST_HELD:
            self.images = self._room = None
        if self.images is None:
            return
        if not self.images and self._count * image.nbytes <= MOST_HELD:
            self._room = np.empty((self._count, *image.shape), np.uint8)
        if self._room is not None and image.shape == self._room.shape[1:]:
            self._room[len(self.images)] = image
            image = self._room[len(self.images)]
        else:
            self._room = None
        self.images.append(image)

    def all(self) -> np.ndarray | list[np.ndarray] | None:
        """One array, where all have one shape."""
        return self.images if self._room is None or self.images is None else self._room[: len(self.images)]


class _Nothing:
    class_names: list[str] = []  # noqa: RUF012
    labels = np.zeros(0, np.int64)

    def images(self, indices: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        raise AssertionError  # all of them are held


def _decoded(
    who: str, item: Any, image_size: tuple[int, int] | None, grayscale: bool | None, depth: Depth | None
) -> np.ndarray:
    if isinstance(item, BrokenImage):
        raise item
    if isinstance(item, np.ndarray):
        item = as_picture(item, who)
    if isinstance(item, Image.Image):
        return of_picture(item, who, image_size, grayscale, depth)
    return decode(item, image_size, grayscale, who, depth)
