"""Plug-ins: what installed packages add to nrjax by entry points, found by name and loaded when they are asked for."""

import functools
import importlib.metadata
import os
import site
import sysconfig
from pathlib import Path
from typing import Any

from nrjax._utils.messages import first_line, printable

GROUPS = ("nrjax.sources", "nrjax.scores", "nrjax.architectures")


def plugins(group: str) -> dict[str, importlib.metadata.EntryPoint]:
    """Entry points of a group by name; of two of one name the first, in alphabetical order of their packages.

    Only packages count that were installed: in the folders of packages of this Python, or in a folder that the user
    has put on `PYTHONPATH`. The current folder does not count, which may be a zoo of somebody else's.
    """
    folders = tuple(folder for folder in _folders() if os.path.isdir(folder))
    return dict(_entry_points(folders, tuple(os.stat(folder).st_mtime_ns for folder in folders), group))


def load_plugin(group: str, name: str) -> Any:
    """What the entry point of a name says.

    Raises:
      ValueError: its package cannot be imported, or does not have it.
    """
    point = plugins(group)[name]
    try:
        return point.load()
    except Exception as error:  # whatever somebody's module does while it is imported
        raise ValueError(
            f"{describe(point)} cannot be loaded: {type(error).__name__}: {first_line(error)}. Mend or uninstall it."
        ) from error


def describe(point: importlib.metadata.EntryPoint) -> str:
    """An entry point in words: its name, group and package."""
    return printable(f"plug-in {point.name!r} ({point.group}, {package_of_plugin(point)})")


def package_of_plugin(point: importlib.metadata.EntryPoint) -> str:
    """Name and version of the package of an entry point."""
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "unknown"


def _folders() -> tuple[str, ...]:
    """Folders of packages; relative ones on `PYTHONPATH` are the current folder in other words."""
    named = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(path)]
    known = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
    here = {Path.cwd()} if Path.cwd().exists() else set()
    return tuple(dict.fromkeys(path for path in (*known, site.getusersitepackages(), *named) if Path(path) not in here))


@functools.lru_cache(16)
def _entry_points(
    folders: tuple[str, ...], stamps: tuple[int, ...], group: str
) -> tuple[tuple[str, importlib.metadata.EntryPoint], ...]:
    """Entry points while the folders have these dates."""
    points = [
        point for distribution in importlib.metadata.distributions(path=list(folders))
        for point in distribution.entry_points if point.group == group
    ]  # fmt: skip
    ordered = sorted(points, key=lambda point: (point.name, package_of_plugin(point)), reverse=True)
    return tuple({point.name: point for point in ordered}.items())[::-1]
