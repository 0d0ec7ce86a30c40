"""Paths of untrusted files: only regular files are opened, names of any kind are sorted and checked."""

import re
import stat
import tempfile
from pathlib import Path

from nrjax._utils.messages import printable

MOST_DIGITS = 100  # of a number in a name
MOST_OUTPUT = 1 << 20  # bytes that a page or a picture may take
_SYSTEM_FILES = {
    "__MACOSX", "__pycache__", "System Volume Information", "lost+found", "Thumbs.db", "desktop.ini", "@eaDir", "@tmp",
    "@Recycle", "#recycle", "$RECYCLE.BIN", "$Recycle.Bin",
}  # fmt: skip
_KINDS = {
    stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}  # fmt: skip


def check_regular(path: Path, who: str | None = None) -> Path:
    """The path of a regular file, or of a link to one. Reading a pipe or a device might never end.

    Raises:
      ValueError: it is not regular, or is missing.
    """
    who = who or printable(path.name)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        missing = "is a link to nothing" if path.is_symlink() else "is not there"
        raise ValueError(f"{who} {missing}.") from error
    except (OSError, RuntimeError, ValueError) as error:  # loops of links; names too long or with a NUL
        reason = "is a link to itself" if isinstance(error, RuntimeError) or path.is_symlink() else "is no file name"
        raise ValueError(f"{who[:80]} {reason}.") from error
    if not stat.S_ISREG(mode):
        raise ValueError(f"{who} is not a regular file (it is {_KINDS.get(stat.S_IFMT(mode), 'something else')}).")
    return path


def walk_files(path: Path) -> tuple[Path, ...]:
    """A file; or a folder and all that lies in it, at any depth."""
    return (path, *sorted(path.rglob("*"))) if path.is_dir() else (path,)


def is_system_file(name: str) -> bool:
    """Whether a system left a file or folder behind: `._x.png`, `.DS_Store`, `__MACOSX`, `@eaDir`."""
    return name.startswith(".") or name in _SYSTEM_FILES


def natural_sort_key(name: str) -> list[tuple[bool, int, str]]:
    """A key that sorts names as people do: 2 before 10."""
    return [
        (not part.isdecimal(), int(part) if part.isdecimal() and len(part) <= MOST_DIGITS else 0, part)
        for part in re.split(r"(\d+)", name)
    ]


def check_writable(path: Path, suffixes: tuple[str, ...] = ()) -> Path:
    """The path, if it can be written; called before the work whose result goes there.

    Raises:
      ValueError: its folder is missing, read-only or full, it is no regular file, or its suffix is not in `suffixes`.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise ValueError(f"{path.name}: the suffix must be one of {', '.join(sorted(suffixes))}.")
    folder = path.parent
    if not folder.is_dir():
        raise ValueError(f"{path}: there is no folder {folder}.")
    if path.is_symlink() or path.exists():
        check_regular(path)
    try:
        if path.exists():
            with path.open("ab"):
                pass
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(MOST_OUTPUT))
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror or error}.") from error
    return path
