"""Files of text in the encodings that programs write."""

import codecs
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from nrjax._utils.messages import printable
from nrjax._utils.paths import check_regular

_ENCODINGS = {  # by the mark at the beginning; UTF-32 first, because its mark begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip


@contextlib.contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Opens text in UTF-8, or in UTF-16 or UTF-32 with their marks. Line ends stay as they are.

    Raises:
      ValueError: it is in another encoding; names the first line that is not UTF-8.
    """
    with check_regular(path).open("rb") as file:
        start = file.read(4)
    encoding = next((name for mark, name in _ENCODINGS.items() if start.startswith(mark)), "utf-8-sig")
    try:
        with path.open(encoding=encoding, newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        line = "" if encoding != "utf-8-sig" else f" (line {_first_undecodable(path)})"
        raise ValueError(
            f"{printable(path.name)} is not text in {encoding.removesuffix('-sig').upper()}{line}; save it as UTF-8."
        ) from error


def _first_undecodable(path: Path) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8-sig")
            except UnicodeDecodeError:
                return number
    return 1
