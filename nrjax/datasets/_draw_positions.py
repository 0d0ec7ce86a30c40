"""`draw_positions`: labelled positions of pictures with masks."""

import warnings
from collections.abc import Iterable

import numpy as np

from nrjax.datasets._check_images import WAY_OUT, CheckedImages, decode_all
from nrjax.datasets._dataset import Dataset
from nrjax.datasets._decode import without_news
from nrjax.datasets._lazy_images import Images
from nrjax.datasets._masks import read_mask
from nrjax.datasets._position_draw import GRID, MOST, Cells, cells_of, draw
from nrjax.datasets._position_sources import MaskedPictures, of_arrays
from nrjax.datasets._positions import Positions
from nrjax.datasets._select import resolve_classes
from nrjax.errors import BrokenImage

IGNORED = 255  # the id of what has no class, as in most data sets of segmentation
FEWEST = 8  # positions of a picture that may always be drawn


def draw_positions(
    images: object,
    masks: object,
    *,
    grid: int = GRID,
    max_samples: int | None = None,
    per_picture: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Positions of pictures as samples; the class of each is that of the mask there, and its group is the picture.

    Args:
      images: uint8 `[pictures, height, width, channels]`, or a sequence of pictures of several sizes.
      masks: integers `[pictures, height, width]`, or a sequence of those. 255 and negative ids are no class.
      grid: cells along each edge of a picture. The middles of those that hold one class are the positions.
      max_samples: positions in all, 4096 unless it is given. No class gets more than its even share, nor more than
        twice the median of the others, unless that is below 64.
      per_picture: positions of a picture at most; None is twice the even share of a picture, at least 8.
      seed: of the draw.

    Raises:
      ValueError: a mask of another size than its picture, or fewer than two classes that lie in several pictures.
    """
    source = of_arrays((images, masks))
    return positions_of(source, "The data set", grid=grid, max_samples=max_samples, per_picture=per_picture, seed=seed)


def positions_of(
    source: MaskedPictures, who: str, *, classes: str | Iterable[int | str] | None = None, grid: int = GRID,
    max_samples: int | None = None, per_picture: int | None = None, seed: int = 0, grayscale: bool | None = None,
    skip_broken: bool = False,
) -> Dataset:  # fmt: skip
    """Positions of any source; see `draw_positions` and `load_dataset` for arguments and errors."""
    for name, value in (("grid", grid), ("max_samples", max_samples), ("per_picture", per_picture)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}.")
    if source.missing and not skip_broken:
        count = f" {len(source.missing):,} files are like that." if len(source.missing) > 1 else ""
        raise ValueError(f"{who}: {source.missing[0]}{count} {WAY_OUT}")
    with without_news:
        checked = decode_all(source, np.arange(len(source)), None, grayscale, skip_broken)
        images, cells, ids, broken = _read_masks(source, checked, grayscale, grid, skip_broken)
    left_out = [*source.missing, *checked.left_out, *broken]
    if left_out:
        listed = " ".join(left_out[:10]) + (" ..." if len(left_out) > 10 else "")
        warnings.warn(f"Left out {len(left_out)} pictures or masks: {listed}", RuntimeWarning, stacklevel=4)
    ids = _without_ignored(ids, who)
    names = tuple(map(str, ids.tolist()))
    cells = cells.take(np.flatnonzero(np.isin(cells.label, ids[resolve_classes(classes, names)])))
    cells = _of_several_pictures(cells, ids if classes is None else np.unique(cells.label), grid, who)
    most, pictures = max_samples or MOST, len(np.unique(cells.picture))
    drawn = cells.take(draw(cells, most, per_picture or max(FEWEST, 2 * -(-most // pictures)), seed))
    drawn = _of_several_pictures(drawn, np.unique(cells.label), grid, who)
    samples = Positions(images, drawn.picture, drawn.row, drawn.column)
    return Dataset(samples, np.searchsorted(ids, drawn.label), names, "classification", drawn.picture)


def _read_masks(
    source: MaskedPictures, checked: CheckedImages, grayscale: bool | None, grid: int, skip_broken: bool
) -> tuple[Images, Cells, np.ndarray, list[str]]:
    """Pictures, cells of their masks, ids that occur in the masks, and what is wrong with masks that are left out."""
    if checked.held is None:
        images = Images(source, checked.indices, None, grayscale, None, checked.depth)
    else:
        images = Images.of(list(checked.held))
    parts, ids, broken = [], set[int](), []
    for picture, index in enumerate(checked.indices.tolist()):
        name, content = source.mask(index)
        try:
            mask = read_mask(content, name, images[picture].shape[:2])
        except (BrokenImage, ValueError) as error:
            if not skip_broken:
                raise BrokenImage(f"{error} {WAY_OUT}") from error
            broken.append(str(error))
            continue
        parts.append(cells_of(mask, picture, grid))
        ids |= set(np.unique(mask).tolist())
    empty = Cells(*(np.zeros(0, kind) for kind in (int, float, float, int)))
    cells = Cells(*map(np.concatenate, zip(empty, *parts, strict=True)))
    return images, cells, np.array(sorted(i for i in ids if i >= 0), np.int64), broken


def _without_ignored(ids: np.ndarray, who: str) -> np.ndarray:
    """Ids without the ignored one. Masks of 0 and 255 alone are black and white: then 255 is the object."""
    if ids.tolist() != [0, IGNORED]:
        return ids[ids != IGNORED]
    warnings.warn(
        f"{who}: masks have only 0 and 255, so 255 counts as a class; beside other values it means no class.",
        RuntimeWarning,
        stacklevel=5,
    )
    return ids


def _of_several_pictures(cells: Cells, ids: np.ndarray, grid: int, who: str) -> Cells:
    """Cells of classes that lie in two pictures or more: without the only one nothing would know the class.

    Raises:
      ValueError: these are fewer than two classes.
    """
    pictures = np.array([len(np.unique(cells.picture[cells.label == label])) for label in ids], int)
    few = ids[pictures < 2]
    reason = f"cells of a {grid}x{grid} grid that are theirs alone lie in one picture or none"
    listed = ", ".join(map(str, few[:10].tolist())) + (", ..." if len(few) > 10 else "")
    if len(ids) - len(few) < 2:
        raise ValueError(
            f"{who}: positions need 2 classes or more that lie in several pictures; got {len(ids) - len(few)}"
            + (f" (left out {listed}: {reason})." if len(few) else ".")
        )
    if len(few):
        warnings.warn(f"{who}: left out classes {listed}: {reason}.", RuntimeWarning, stacklevel=5)
    return cells.take(np.flatnonzero(~np.isin(cells.label, few)))
