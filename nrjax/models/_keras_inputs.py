"""What numbers a Keras network wants its images in: found by what its first layers make of them."""

# pyright: reportMissingImports=false

import re
from typing import Any

import numpy as np

from nrjax.models._preprocessing import LARGE_OFFSET, SMALL_SLOPE, Preprocessing

TO_ONE = {"mean": (1.0,), "scale": 1 / 127.5}  # -1 to 1
CENTRED = {"mean": (103.939, 116.779, 123.68), "scale": 1.0, "bgr": True}
STANDARD = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
APPLICATIONS = {  # names of keras.applications whose `preprocess_input` is no part of the network
    r"resnet\d+": CENTRED, r"vgg\d+": CENTRED, r"resnet\d+v2": TO_ONE, r"mobilenet_[\d.]+_\w+": TO_ONE,
    r"mobilenetv2_[\d.]+_\w+": TO_ONE, "xception": TO_ONE, "inception_v3": TO_ONE, "inception_resnet_v2": TO_ONE,
    r"nasnet(_mobile|_large)?": TO_ONE, r"densenet\d+": STANDARD,
}  # fmt: skip


def preprocessing_of(keras: Any, module: Any) -> Preprocessing:
    """Of images for a network: that of its application, or 0 to 255 where it scales by itself, else 0 to 1."""
    names, tensor = _first_weights(module)
    slope, offset = _arithmetic(keras, module, tensor)
    if slope < SMALL_SLOPE or abs(offset) > LARGE_OFFSET:
        return Preprocessing(scale=1.0)
    if (slope, offset) == (1.0, 0.0):
        for name in names:
            for pattern, settings in APPLICATIONS.items():
                if re.fullmatch(pattern, name.lower()):
                    return Preprocessing(**settings)
    return Preprocessing()


def nodes_of(module: Any) -> list[Any]:
    """Calls of layers and operations in the order of execution, without the input's."""
    by_depth = getattr(module, "_functional", module)._nodes_by_depth
    ordered = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    return [node for node in ordered if not node.is_input]


def _first_weights(module: Any) -> tuple[list[str], tuple[Any, Any] | None]:
    """Names of the network, and of that within it that has the first weights; that one and what these read."""
    for node in nodes_of(module):
        layer = node.operation
        if hasattr(layer, "_nodes_by_depth") or hasattr(layer, "_functional"):
            names, inner = _first_weights(layer)
            if inner is None:
                continue
            return [*names, str(module.name)], (node.input_tensors[0], (layer, inner))
        if getattr(layer, "weights", None) and type(layer).__name__ != "Normalization":
            return [str(module.name)], (node.input_tensors[0], None)
    return [str(module.name)], None


def _arithmetic(keras: Any, module: Any, tensor: Any) -> tuple[float, float]:
    """Factor and offset of what is done to an image before the first weights, by what comes out for 0 and 1."""
    slope, offset = 1.0, 0.0
    while tensor is not None and tensor[0] is not None:
        given, inner = tensor
        if given is not module.inputs[0]:
            zero, one = (_median(keras, module.inputs[0], given, value) for value in (0.0, 1.0))
            slope, offset = slope * (one - zero), offset * (one - zero) + zero
        if inner is None:
            break
        module, tensor = inner
    return slope, offset


def _median(keras: Any, images: Any, tensor: Any, value: float) -> float:
    """Of a tensor, for an image of one value."""
    image = np.full((1, *(size or 32 for size in images.shape[1:])), value, np.float32)
    return float(np.median(keras.ops.convert_to_numpy(keras.Model(images, tensor)(image, training=False))))
