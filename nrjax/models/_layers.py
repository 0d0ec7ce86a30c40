"""`layers`: the layers of one model, to choose from."""

from collections.abc import Sequence
from typing import Any

from nrjax.models._layer_choice import Layer
from nrjax.models._live import as_model


def layers(model: Any, input_shape: Sequence[int] | None = None) -> list[Layer]:
    """Layers of a model in order of execution, the input first where it is one of numbers.

    Args:
      model: whatever `nrjax.rank` takes as one model.
      input_shape: of one sample; needed where the model does not carry its own.

    Returns:
      Names and shapes (of one sample). A layer is chosen by name, by its index in this list
      (0 the first, -1 the last), or as `"penultimate"`: what the head reads.
    """
    return as_model(model).layers(input_shape)
