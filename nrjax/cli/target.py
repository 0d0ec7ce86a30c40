"""The labelled images that a command ranks on."""

import warnings
from typing import Any

import click


def input_shape_of(zoo: Any) -> tuple[int, ...] | None:
    """The input that all models of a zoo take, or None where they differ or do not say."""
    from nrjax.models import ZooError

    shapes = set()
    for name in zoo:
        try:
            shapes.add(zoo.info(name).input_shape)
        except ZooError:  # the ranking says so
            continue
    return shapes.pop() if len(shapes) == 1 else None


def load_target(name: Any, input_shape: tuple[int, ...] | None, **options: Any) -> Any:
    """`load_dataset`, at the size that the models take unless another is asked for; what was left out is said."""
    import nrjax

    if input_shape is not None and len(input_shape) == 3 and options["image_size"] is None:
        options["image_size"] = input_shape[:2]
        if options["grayscale"] is None and input_shape[2] in (1, 3):
            options["grayscale"] = input_shape[2] == 1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        loaded = nrjax.load_dataset(name, **options)
    for warning in caught:
        click.echo(str(warning.message), err=True)
    return loaded
