"""A live PyTorch module as a model."""

from collections.abc import Sequence
from typing import Any

from nrjax.models._image_inputs import image_inputs
from nrjax.models._model import as_shape
from nrjax.models._preprocessing import Preprocessing
from nrjax.models._torch import TorchModel
from nrjax.models._torch_runs import check_values, is_accelerated


def from_torch(
    module: Any, *, input_shape: Sequence[int] | None = None, preprocessing: Preprocessing | None = None,
) -> TorchModel:  # fmt: skip
    """A live PyTorch module, in inference mode; its own mode comes back after every batch.

    Layers are its modules by path, in the order in which they run, after `input` and before `output`; those of a
    module that answers with a tuple, a mapping or a dataclass are `path`, its first tensor, and `path.NAME`. The
    penultimate layer is what the head reads: the innermost module, or product, with a weight matrix whose answer is the
    network's, perhaps after a softmax, a factor or pooling; of one number for every sample after anything that keeps
    the order of samples. Several heads may answer beside each other, or be averaged, where they read the same. Of a
    network without a head it is the network's own answer.

    Args:
      module: takes a batch of images `[samples, channels, height, width]`, or of whatever the samples are.
      input_shape: of one image `(height, width, channels)`, as everywhere in nrjax; images of another shape are then
        resized before they enter.
      preprocessing: of images; see `Preprocessing`. None is that of its configuration for a network of timm, of the
        size and the channels that it was built for (unless an `input_shape` is given), else uint8 is scaled to [0, 1].
        Images of one or three channels are turned to channels first, unless they lie so already, and so are those of
        `input_shape`; other arrays enter as they are.

    Examples:
      >>> from torch import nn
      >>> module = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 5))
      >>> nrjax.extract_features(nrjax.from_torch(module), images).shape  # what the last Linear reads
      (1000, 32)
    """
    check_values(module)
    if preprocessing is None and input_shape is None and hasattr(module, "pretrained_cfg"):
        is_timm = type(module).__module__.startswith("timm.") or callable(getattr(module, "forward_head", None))
        if is_timm:
            from nrjax.models._timm import from_timm

            return from_timm(module)
    is_default, preprocessing = preprocessing is None, preprocessing or Preprocessing()
    shape = as_shape(input_shape)
    inputs = image_inputs(shape, preprocessing, channels_first=True, as_bytes=lambda: is_accelerated(module))
    model = TorchModel(module, inputs)
    model.normalises, model.has_default_scale = preprocessing, is_default
    if is_default:
        model.remark_on_images = next(filter(None, map(_remark_on_images, module.modules())), "")
    return model


def _remark_on_images(part: Any) -> str:
    """What there is to say where images enter a module that holds this one, whose own preprocessing is not known."""
    if hasattr(part, "pretrained_cfg"):
        says, otherwise = "of timm, whose configuration", "preprocessing= says"
    elif getattr(part, "main_input_name", "") == "pixel_values":
        says, otherwise = "of transformers, whose image processor", "preprocessing= or a pair (module, processor) says"
    elif type(part).__module__.startswith("torchvision.models."):
        says, otherwise = "of torchvision, whose weights.transforms()", "preprocessing= says"
    else:
        return ""
    return (
        f"it holds {type(part).__name__} {says} says a preprocessing; images are scaled to [0, 1] alone, unless "
        f"{otherwise} otherwise."
    )
