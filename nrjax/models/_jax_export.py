"""Programs of `jax.export`, live or from files: StableHLO with its weights inside, whose only layer is its output."""

from pathlib import Path
from typing import Any

import jax
import jax.export

from nrjax._utils.messages import first_line, shortened
from nrjax._utils.paths import check_regular
from nrjax.models._function import from_function
from nrjax.models._jax import JaxModel
from nrjax.models._preprocessing import Preprocessing

MOST_BYTES = 1 << 33


class Program:
    """A program as a function of no parameters and a batch; equal programs are the same bytes."""

    def __init__(self, exported: Any, content: bytes):
        self._exported, self._content = exported, content

    def __call__(self, params: object, batch: jax.Array) -> Any:
        """What it computes."""
        (given,) = self._exported.in_avals
        return self._exported.call(batch.astype(given.dtype))

    def __reduce__(self) -> Any:
        return read_program, (self._content,)

    def __hash__(self) -> int:
        return hash(self._content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and self._content == other._content


def read_program(content: bytes) -> Program:
    """A program from its bytes."""
    return Program(jax.export.deserialize(bytearray(content)), content)


def from_export(
    exported: Any, *, who: str = "the exported program", preprocessing: Preprocessing = Preprocessing(),
    image_size: tuple[int, int] | None = None,
) -> JaxModel:  # fmt: skip
    """What `jax.export.export(function)(shapes)` returned, of one batch; weights are inside it.

    Raises:
      ValueError: it takes several arrays, or is for other devices.
    """
    if len(exported.in_avals) != 1:
        raise ValueError(
            f"{who}: it takes {len(exported.in_avals)} arrays; expected one batch. Export it with its weights inside: "
            "jax.export.export(jax.jit(lambda batch: apply(params, batch)))(shape)."
        )
    if jax.default_backend() not in exported.platforms:
        raise ValueError(
            f"{who}: it is for {', '.join(exported.platforms)}, and this is {jax.default_backend()}; export it with "
            f"platforms=[{jax.default_backend()!r}]."
        )
    batch, *sizes = (size if isinstance(size, int) else None for size in exported.in_avals[0].shape)
    if len(sizes) == 3 and image_size is not None and None in sizes[:2]:
        sizes = [*image_size, sizes[2] or 3]
    shape = None if None in sizes else tuple(size for size in sizes if size is not None)
    program = Program(exported, bytes(exported.serialize()))
    model = from_function(program, {}, input_shape=shape, preprocessing=preprocessing)
    model.batch = batch
    return model


def load_export(
    where: str, *, base: Path = Path(), preprocessing: Preprocessing | None = None,
    image_size: tuple[int, int] | None = None,
) -> JaxModel:  # fmt: skip
    """The program of a file: the bytes of `exported.serialize()`.

    Raises:
      ValueError: it is damaged, takes several arrays, or is for other devices.
    """
    who = shortened(f"jax:{where}")
    path = check_regular(base / Path(where).expanduser(), who)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{who}: it is larger than {MOST_BYTES:,} bytes.")
    try:
        exported = jax.export.deserialize(bytearray(path.read_bytes()))
    except Exception as error:  # flatbuffers and MLIR raise what they like
        raise ValueError(f"{who}: it is damaged, or no program of jax.export: {first_line(error)}") from error
    model = from_export(
        exported, who=who, preprocessing=preprocessing or Preprocessing(), image_size=image_size
    )  # fmt: skip
    model.files = (path,)
    return model
