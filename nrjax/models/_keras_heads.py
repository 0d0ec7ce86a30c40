"""What the head of a Keras network reads, found by walking back from its output."""

# pyright: reportMissingImports=false

from collections.abc import Mapping
from typing import Any

PASSES = ("Dropout", "Flatten", "Reshape", "Softmax", "Sigmoid", "LogSoftmax", "Squeeze")  # from logits to the answer
OF_LOGITS = ("linear", "softmax", "sigmoid", "log_softmax")  # activations
DENSE = ("Dense", "EinsumDense")


def penultimate_of(keras: Any, module: Any) -> Any:
    """The tensor that the last dense layer reads, where its output is the network's; else the network's output.

    None where that is no vector for every sample.
    """
    answers = getattr(module, "_outputs_struct", None)
    answer = answers["logits"] if isinstance(answers, Mapping) and "logits" in answers else module.outputs[0]
    read = _read_by_head(keras, answer)
    return read if read is not None else answer if is_vector(answer) else None


def _read_by_head(keras: Any, tensor: Any) -> Any:
    """What the head reads whose output a tensor is; None where there is no head."""
    while True:
        layer, index, _ = tensor._keras_history
        node = layer._inbound_nodes[index]
        if node.is_input or not node.input_tensors:
            return None
        given, kind = node.input_tensors[0], type(layer).__name__
        activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
        if isinstance(layer, keras.Model):
            read = _read_by_head(keras, layer.outputs[0])
            return None if read is None else keras.Model(layer.inputs, read)(node.input_tensors)
        if kind in PASSES or (kind == "Activation" and activation in OF_LOGITS):
            tensor = given
            continue
        dense = kind in DENSE or any(len(weight.shape) > 1 for weight in getattr(layer, "weights", ()))
        return given if dense and activation in OF_LOGITS and is_vector(given) and is_vector(tensor) else None


def is_vector(tensor: Any) -> bool:
    """Whether a tensor is a vector for every sample: one axis, or further ones of size one."""
    sizes = tensor.shape[1:]
    return len(sizes) > 0 and sum(size != 1 for size in sizes) <= 1
