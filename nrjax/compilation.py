"""Compiled programs kept for processes to come."""

import warnings
from pathlib import Path

import jax


def cache_compilations(directory: str | Path) -> None:
    """Keeps compiled programs in a directory and takes them from there: the one switch for a faster second start.

    JAX's own persistent cache; nrjax's programs compile in less than the second from which on JAX keeps them by
    itself. Call it before anything is computed.

    Args:
      directory: made if it is not there. Where that cannot be done, a warning says so and everything compiles anew.
    """
    directory = Path(directory).expanduser().absolute()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        warnings.warn(f"No compilation cache, programs are compiled anew: {error}.", RuntimeWarning, stacklevel=2)
        return
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
