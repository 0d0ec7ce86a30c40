"""Every image of a data set is decoded once before any model runs; broken ones are reported, few ones are kept."""

import collections
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from nrjax.datasets._colours import BitDepth
from nrjax.datasets._lazy_images import ImageSource, decode_item
from nrjax.errors import BrokenImage

MOST_HELD = 1 << 30  # bytes of decoded images that stay in memory
CHUNK = 256  # images that a source is asked for together
MOST_AHEAD = 1 << 28  # bytes of images that are decoded ahead
THREADS = min(32, (os.cpu_count() or 1) + 4)
WAY_OUT = "skip_broken=True, on the command line --skip-broken, leaves it out."  # ends errors about one sample


class CheckedImages(NamedTuple):
    """Images that can be read.

    Attributes:
      indices: of them.
      held: the images, decoded, while they are few: one array, or a list where they differ in size.
      left_out: what is wrong with the others.
      depth: what their 16 bits hold.
    """

    indices: np.ndarray
    held: np.ndarray | list[np.ndarray] | None
    left_out: list[str]
    depth: BitDepth


def decode_all(
    source: ImageSource, indices: np.ndarray, image_size: tuple[int, int] | None, grayscale: bool | None,
    skip_broken: bool, depth: BitDepth | None = None,
) -> CheckedImages:  # fmt: skip
    """Decodes every image once, in threads, so that a broken one is known before any model runs.

    Raises:
      BrokenImage: the first image that cannot be read, unless broken ones are left out.
    """
    held, good, left_out = _DecodedImages(len(indices)), [], []
    depth = depth or BitDepth()

    def attempt(named: tuple[str, object]) -> np.ndarray | BrokenImage:
        try:
            return decode_item(*named, image_size, grayscale, depth)
        except BrokenImage as error:
            return error

    for index, image in zip(indices, _decode_in_threads(attempt, source, indices), strict=True):
        if not isinstance(image, BrokenImage):
            good.append(index)
            held.add(image)
        elif skip_broken:
            left_out.append(str(image))
        else:
            raise BrokenImage(f"{image} {WAY_OUT}") from image
    if depth.mixed:  # what looked like fewer bits are dark pictures
        return decode_all(source, indices, image_size, grayscale, skip_broken, BitDepth(max(depth.whites)))
    return CheckedImages(np.array(good, dtype=np.int64), held.all(), left_out, depth)


def _decode_in_threads(
    attempt: Callable[[tuple[str, Any]], np.ndarray | BrokenImage], source: ImageSource, indices: np.ndarray
) -> Iterator[np.ndarray | BrokenImage]:
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


class _DecodedImages:
    """Decoded images, while they are few. They are rows of one array while they have one shape, else a list.

    Attributes:
      images: all that were added; None where they are too many.
    """

    def __init__(self, count: int):
        self.images: list[np.ndarray] | None = []
        self._count, self._bytes = count, 0
        self._array: np.ndarray | None = None

    def add(self, image: np.ndarray) -> None:
        self._bytes += image.nbytes
        if self._bytes > MOST_HELD:
            self.images = self._array = None
        if self.images is None:
            return
        if not self.images and self._count * image.nbytes <= MOST_HELD:
            self._array = np.empty((self._count, *image.shape), np.uint8)
        if self._array is not None and image.shape == self._array.shape[1:]:
            self._array[len(self.images)] = image
            image = self._array[len(self.images)]
        else:
            self._array = None
        self.images.append(image)

    def all(self) -> np.ndarray | list[np.ndarray] | None:
        """One array, where all have one shape."""
        return self.images if self._array is None or self.images is None else self._array[: len(self.images)]
