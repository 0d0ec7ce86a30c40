"""The penultimate layer of a Keras network, found by going back from its output."""

# pyright: reportMissingImports=false

from collections.abc import Mapping
from typing import Any

import numpy as np

from nrjax.models._heads import is_vector, main_name

PASSES = ("Dropout", "Flatten", "Reshape", "Softmax", "Sigmoid", "LogSoftmax", "Squeeze", "Rescaling", "Cast",
          "ActivityRegularization", "Identity", "Exp", "Negative")  # fmt: skip
OF_SOME_CLASSES = ("Cumsum", "GetItem", "Pad", "Softplus", "Take")  # of embeddings as well
SUMS = ("Add", "Average", "Concatenate", "Subtract", "TrueDivide", "Divide", "Multiply")  # of heads, or with a number
POOLS = ("GlobalAveragePooling2D", "GlobalAveragePooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling1D")
LOGIT_ACTIVATIONS = ("linear", "softmax", "sigmoid", "log_softmax", "exponential")
DENSE = ("Dense", "EinsumDense")


def find_penultimate(keras: Any, module: Any) -> tuple[Any, list[str]]:
    """The tensor that the head reads, else the network's output; None where that is no vector for every sample.

    The head is the dense layer, or the convolution, whose output is the network's, perhaps after pooling. Remarks that
    come with it speak of several heads that read different tensors.
    """
    outputs = getattr(module, "_outputs_struct", None)
    named = outputs if isinstance(outputs, Mapping) else {}
    main = named.get(main_name(named), module.outputs[0])
    remarks: list[str] = []
    read = _read_by_head(keras, main, remarks)
    if read is None:
        return main if is_vector(main.shape[1:]) else None, remarks
    others = [_read_by_head(keras, output, []) for output in module.outputs if output is not main]
    if any(other is not None and other is not read for other in others):
        remarks.append(f"it has several heads, and what that of its output {main.name} reads is taken.")
    return read, remarks


def _read_by_head(keras: Any, tensor: Any, remarks: list[str]) -> Any:
    """The input of the head whose output a tensor is; None where there is no head."""
    pools: list[Any] = []
    while True:
        layer, index, _ = tensor._keras_history
        node = layer._inbound_nodes[index]
        if node.is_input or not node.input_tensors:
            return None
        given, kind = node.input_tensors[0], type(layer).__name__
        activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
        if isinstance(layer, keras.Model):
            read = _read_by_head(keras, layer.outputs[0], remarks)
            return None if read is None else keras.Model(layer.inputs, read)(node.input_tensors)
        if kind == "Where" and len(node.input_tensors) > 1:
            return None
        if kind in SUMS and len(node.input_tensors) > 1:
            read = [_read_by_head(keras, each, remarks) for each in node.input_tensors]
            if kind in ("Add", "Average", "Concatenate") and all(each is not None for each in read):
                if all(each is read[0] for each in read):
                    return read[0]
                what = "several heads beside each other" if kind == "Concatenate" else "the sum of several heads"
                remarks.append(f"its output is {what}, and is taken as it is; or choose a layer.")
            return None
        is_scale = kind in (*SUMS, "Where") or (kind == "Lambda" and _keeps_logits(keras, layer, given))
        if kind in PASSES or is_scale or (kind == "Activation" and activation in LOGIT_ACTIVATIONS):
            tensor = given
            continue
        if kind in POOLS and not pools:
            pools, tensor = [layer], given
            continue
        is_dense = kind in DENSE or any(len(weight.shape) > 1 for weight in getattr(layer, "weights", ()))
        is_number = tuple(tensor.shape[1:]) == (1,)  # of which nobody makes an embedding, whatever the activation
        if kind in OF_SOME_CLASSES and is_vector(given.shape[1:]):
            remarks.append(f"its output is made by {kind}, and is taken as it is; or choose a layer.")
        if not is_dense or (activation not in LOGIT_ACTIVATIONS and not is_number):
            return None
        if pools:
            is_for_each = kind in DENSE or set(getattr(layer, "kernel_size", (0,))) == {1}
            return type(pools[0])(data_format=pools[0].data_format)(given) if is_for_each else None
        size = tuple(given.shape[1:-1])
        if kind == "Conv2D" and size == tuple(layer.kernel_size) and layer.padding == "valid" and None not in size:
            return keras.layers.Flatten()(given)
        return given if is_vector(given.shape[1:]) and is_vector(tensor.shape[1:]) else None


def _keeps_logits(keras: Any, layer: Any, given: Any) -> bool:
    """Whether a layer of one's own multiplies by a number, or is a softmax, by what it makes of three vectors."""
    if not is_vector(given.shape[1:]) or None in given.shape[1:]:
        return False
    vectors = np.random.default_rng(0).normal(size=(3, *given.shape[1:])).astype(np.float32)
    answers = keras.ops.convert_to_numpy(layer(vectors))
    if answers.shape != vectors.shape:
        return False
    known = (keras.ops.convert_to_numpy(function(vectors)) for function in (keras.ops.softmax, keras.ops.log_softmax))
    return bool(np.ptp(answers / vectors) < 1e-4) or any(np.allclose(answers, each, atol=1e-5) for each in known)
