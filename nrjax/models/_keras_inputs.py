"""The range of numbers in which a Keras network takes images, by what its first layers do to them."""

# pyright: reportMissingImports=false

import re
from typing import Any

import numpy as np

from nrjax.models._preprocessing import Preprocessing, scales_images

TO_ONE = {"mean": (1.0,), "scale": 1 / 127.5}  # -1 to 1
CENTRED = {"mean": (103.939, 116.779, 123.68), "scale": 1.0, "bgr": True}
STANDARD = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
APPLICATIONS = {  # names of keras.applications whose `preprocess_input` is no part of the network
    r"resnet\d+": CENTRED, r"vgg\d+": CENTRED, r"resnet\d+v2": TO_ONE, r"mobilenet_[\d.]+_\w+": TO_ONE,
    r"mobilenetv2_[\d.]+_\w+": TO_ONE, "xception": TO_ONE, "inception_v3": TO_ONE, "inception_resnet_v2": TO_ONE,
    r"nasnet(_mobile|_large)?": TO_ONE, r"densenet\d+": STANDARD,
}  # fmt: skip


def guess_preprocessing(keras: Any, module: Any) -> Preprocessing:
    """Preprocessing of images: that of the application it is, 0 to 255 where its first layers scale, else 0 to 1."""
    names, source = _find_first_weights(module)
    factor, offset = _factor_and_offset(keras, module, source)
    if scales_images(factor, offset):
        return Preprocessing(scale=1.0)
    if (factor, offset) == (1.0, 0.0):
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


def _find_first_weights(module: Any) -> tuple[list[str], tuple[Any, Any] | None]:
    """Names of the network and of those within it down to the first weights, the innermost first; and a source.

    The source is the tensor that enters the layer with these weights, and None. Where that layer is a network, it is
    the tensor that enters the network, and a pair of the network and its own source.
    """
    for node in nodes_of(module):
        layer = node.operation
        if hasattr(layer, "_nodes_by_depth") or hasattr(layer, "_functional"):
            names, inner = _find_first_weights(layer)
            if inner is None:
                continue
            return [*names, str(module.name)], (node.input_tensors[0], (layer, inner))
        if getattr(layer, "weights", None) and type(layer).__name__ != "Normalization":
            return [str(module.name)], (node.input_tensors[0], None)
    return [str(module.name)], None


def _factor_and_offset(keras: Any, module: Any, source: Any) -> tuple[float, float]:
    """Factor and offset that are applied to an image before the first weights, by the results for 0 and 1."""
    factor, offset = 1.0, 0.0
    while source is not None:
        given, inner = source
        if given is not module.inputs[0]:
            of_zero, of_one = (_median(keras, module.inputs[0], given, value) for value in (0.0, 1.0))
            factor, offset = factor * (of_one - of_zero), offset * (of_one - of_zero) + of_zero
        if inner is None:
            break
        module, source = inner
    return factor, offset


def _median(keras: Any, images: Any, tensor: Any, value: float) -> float:
    """The median of a tensor, for an image of one value."""
    image = np.full((1, *(size or 32 for size in images.shape[1:])), value, np.float32)
    return float(np.median(keras.ops.convert_to_numpy(keras.Model(images, tensor)(image, training=False))))
