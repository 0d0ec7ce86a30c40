"""The penultimate layer of a Keras network, found by going back from its output."""

# pyright: reportMissingImports=false

from collections.abc import Mapping
from typing import Any

from nrjax.models._heads import LOGITS, is_vector

PASSES = ("Dropout", "Flatten", "Reshape", "Softmax", "Sigmoid", "LogSoftmax", "Squeeze")  # from logits to the output
LOGIT_ACTIVATIONS = ("linear", "softmax", "sigmoid", "log_softmax")
DENSE = ("Dense", "EinsumDense")


def find_penultimate(keras: Any, module: Any) -> Any:
    """The tensor that the last dense layer reads, where its output is the network's; else the network's output.

    None where that is no vector for every sample.
    """
    outputs = getattr(module, "_outputs_struct", None)
    main = outputs[LOGITS] if isinstance(outputs, Mapping) and LOGITS in outputs else module.outputs[0]
    read = _read_by_head(keras, main)
    return read if read is not None else main if is_vector(main.shape[1:]) else None


def _read_by_head(keras: Any, tensor: Any) -> Any:
    """The input of the head whose output a tensor is; None where there is no head."""
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
        if kind in PASSES or (kind == "Activation" and activation in LOGIT_ACTIVATIONS):
            tensor = given
            continue
        is_dense = kind in DENSE or any(len(weight.shape) > 1 for weight in getattr(layer, "weights", ()))
        is_head = is_dense and activation in LOGIT_ACTIVATIONS
        return given if is_head and is_vector(given.shape[1:]) and is_vector(tensor.shape[1:]) else None
