"""Images of any sizes: decoded when they are looked up, or kept in memory while they are few."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from nrjax.datasets._colours import BitDepth
from nrjax.datasets._decode import decode, of_picture
from nrjax.datasets._image_arrays import as_picture, stack
from nrjax.datasets._sample_sequence import SampleSequence
from nrjax.errors import BrokenImage


class ImageSource(Protocol):
    """Labelled images by their index; encoded, pictures or arrays."""

    class_names: list[str]
    labels: np.ndarray

    def images(self, indices: np.ndarray) -> Iterator[tuple[str, Any]]:
        """Name and content of each: bytes, a path, an array, a picture, or the `BrokenImage` that it is."""
        ...


class Images(SampleSequence):
    """Images as uint8 `[height, width, channels]`, in any sizes; `np.asarray` of it needs one size.

    Attributes:
      held: the decoded images, where they are few; None where each is decoded when it is looked up.
    """

    kind = "image"

    def __init__(
        self, source: ImageSource | None, indices: np.ndarray, image_size: tuple[int, int] | None,
        grayscale: bool | None, held: list[np.ndarray] | None = None, depth: BitDepth | None = None,
    ):  # fmt: skip
        self._source, self._indices, self._size, self._grayscale = source, indices, image_size, grayscale
        self.held, self._depth = held, depth

    @classmethod
    def of(cls, arrays: Sequence[ArrayLike]) -> "Images":
        """Images that are arrays in memory.

        Raises:
          ValueError: one is no uint8 image.
        """
        held = [np.asarray(array) for array in arrays]
        held = [image[:, :, None] if image.ndim == 2 else image for image in held]
        for i, image in enumerate(held):
            if image.ndim != 3 or image.dtype != np.uint8 or image.shape[2] not in (1, 3):
                raise ValueError(
                    f"images of several sizes must be uint8 (height, width, 1 or 3); image {i} is {image.dtype} "
                    f"{image.shape}."
                )
        return cls(None, np.arange(len(held)), None, None, held)

    def __len__(self) -> int:
        return len(self._indices)

    def content(self) -> Iterator[np.ndarray]:
        """The pixels of every image."""
        yield from self

    def take(self, rows: np.ndarray) -> "Images":
        """The images at `rows`, in this order."""
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
        assert self._source is not None  # images without a source are held
        ((who, item),) = self._source.images(self._indices[[index]])
        return decode_item(who, item, self._size, self._grayscale, self._depth)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of them. Raises ValueError where the sizes differ."""
        return stack(self).astype(dtype or np.uint8, copy=False)


def decode_item(
    who: str, item: Any, image_size: tuple[int, int] | None, grayscale: bool | None, depth: BitDepth | None
) -> np.ndarray:
    """One item of an `ImageSource` as an array; see `decode` for arguments and errors."""
    if isinstance(item, BrokenImage):
        raise item
    if isinstance(item, np.ndarray):
        item = as_picture(item, who)
    if isinstance(item, Image.Image):
        return of_picture(item, who, image_size, grayscale, depth)
    return decode(item, image_size, grayscale, who, depth)
