"""The labelled data that a command ranks on, and what is said beside it."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import click

from nrjax._utils.messages import printable


@contextlib.contextmanager
def warnings_said() -> Iterator[None]:
    """What is warned of goes to stderr in plain lines."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", RuntimeWarning)
        yield
    for line in dict.fromkeys(str(warning.message) for warning in caught):
        click.echo(printable(line), err=True)


def load_models(
    names: tuple[str, ...], default: str, where: str | None, *,
    image_size: tuple[int, int] | None = None, device: str | None = None, builder: str | None = None,
    download: bool = False,
) -> Any:  # fmt: skip
    """Candidates that were named on the command line; a name that is none is a mistake of usage."""
    from nrjax.models import load_candidates

    for name in names:
        try:
            load_candidates(name)
        except FileNotFoundError as error:
            raise click.BadParameter(printable(" ".join(str(error).split())), param_hint="MODELS") from error
    return load_candidates(
        list(names) or [default], where=where, image_size=image_size, device=device, builder=builder, download=download
    )


def without_labels(loaded: Any, n_clusters: int | str | None, options: dict[str, Any]) -> Any:
    """The samples alone, if clusters are wanted, and `options` for them; else the data as they are."""
    if n_clusters is None:
        return loaded
    options["n_clusters"] = None if n_clusters == "auto" else n_clusters
    return loaded.samples


def load_target(name: object, **options: Any) -> Any:
    """`load_dataset`; what was left out is said."""
    import nrjax

    with warnings_said():
        return nrjax.load_dataset(name, **options)
