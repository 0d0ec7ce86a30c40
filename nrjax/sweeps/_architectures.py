"""Architectures of users on their way to other processes: one that gets lost there costs its own models only."""

from collections.abc import Callable, Mapping
from typing import Any

import cloudpickle

from nrjax._utils.messages import first_line
from nrjax.models import custom_architectures, register_architecture


def packed_architectures() -> dict[str, bytes]:
    """What users registered here, each by itself."""
    return {name: cloudpickle.dumps(factory) for name, factory in custom_architectures().items()}


def unpack_architectures(packed: Mapping[str, bytes]) -> None:
    """Registers them in this process. Code of a module that is not here is missed when a model asks for it."""
    for name, pickled in packed.items():
        try:
            factory = cloudpickle.loads(pickled)
        except Exception as error:  # whatever somebody's module does while it is imported
            factory = _lost(name, f"{type(error).__name__}: {first_line(error)}")
        register_architecture(name, factory)


def _lost(name: str, reason: str) -> Callable[..., Any]:
    def factory(**_: Any) -> Any:
        raise ValueError(f"architecture {name!r} cannot be made in this process ({reason}); install its module there.")

    return factory
