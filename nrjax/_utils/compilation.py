"""Keeps compiled programs for later processes."""

import contextlib
import os
import shutil
import stat
import warnings
from pathlib import Path

import jax
from jaxlib import version as jaxlib_version
from platformdirs import user_cache_path

from nrjax._version import __version__

MOST_BYTES = 256 << 20  # of a folder; JAX drops what was not used for longest
MOST_VERSIONS = 3  # of jax and nrjax whose folders are kept


def cache_compilations(directory: str | Path | None = None) -> None:
    """Keeps compiled programs in a directory, so that the next process starts faster.

    This is the persistent cache of JAX. By default JAX keeps only programs that compile for a second or more; those of
    nrjax compile faster. Call it before anything is computed. Compiled programs are code, so a directory that other
    users can write to is refused.

    Args:
      directory: created for this user only if it is missing. None takes a directory for these versions of jax and nrjax
        in the user's cache folder, which JAX limits to 256 MiB. If this is not possible, a warning says so, and
        programs are compiled again.

    Examples:
      >>> nrjax.cache_compilations("compiled")  # before anything is computed
    """
    chosen = Path(directory).expanduser().absolute() if directory is not None else _versioned_folder()
    try:
        chosen.mkdir(parents=True, exist_ok=True, mode=0o700)
        _check_private(chosen)
    except OSError as error:
        warnings.warn(f"No compilation cache, programs are compiled anew: {error}.", RuntimeWarning, stacklevel=2)
        return
    jax.config.update("jax_compilation_cache_dir", str(chosen))
    if directory is None:
        _add_missing_times(chosen)
        jax.config.update("jax_compilation_cache_max_size", MOST_BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def _versioned_folder() -> Path:
    """The folder of these versions of jax and nrjax. Folders of versions that were used longest ago are removed."""
    root = user_cache_path("nrjax") / "compiled"
    chosen = root / f"jax-{jax.__version__}-{jaxlib_version.__version__}-nrjax-{__version__}"
    others = [path for path in root.glob("jax-*") if path != chosen and path.is_dir() and not path.is_symlink()]
    for path in sorted(others, key=lambda path: path.stat().st_mtime)[: -MOST_VERSIONS + 1 or None]:
        shutil.rmtree(path, ignore_errors=True)
    return chosen


def _add_missing_times(folder: Path) -> None:
    """Writes the time of use of programs that lack one, as a killed process leaves them: JAX stores no others then."""
    for program in folder.glob("*-cache"):
        used = program.with_name(f"{program.name.removesuffix('-cache')}-atime")
        with contextlib.suppress(OSError):
            if not used.exists():
                used.write_bytes(program.stat().st_mtime_ns.to_bytes(8, "little"))


def _check_private(folder: Path) -> None:
    """Raises PermissionError where somebody else owns the folder or may write to it."""
    if not hasattr(os, "getuid"):  # where permissions are not those of POSIX
        return
    status = folder.stat()
    if status.st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{folder} can be written by other users (chmod go-w)")
