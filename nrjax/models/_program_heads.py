"""What the head of a network in JAX reads, found by going back from the network's main output through its program."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from nrjax.models._heads import has_vectors
from nrjax.models._program import Operation, Program, Value, between

PRODUCTS = ("dot_general", "conv_general_dilated")
MAKES_PROBABILITIES = ("exp", "log", "logistic")
OF_NUMBERS = ("tanh", "log1p", "expm1", "abs", "sign", "eq", "ne", "gt", "ge", "lt", "le", "min", "clamp")
KEEPS_ORDER = (
    "reshape", "squeeze", "broadcast_in_dim", "convert_element_type", "stop_gradient", "sub", "div", "mul", "neg",
    "add", "add_any", "reduce_max", "reduce_sum", "max", "is_finite", "select_n", "copy", "copy_p", "expand_dims",
    "transpose", "slice", "concatenate",
)  # fmt: skip
NORMALISES = ("mul", "div", "sqrt", "rsqrt", "square", "integer_pow", "reduce_sum", "max", "add", "broadcast_in_dim",
              "reshape", "convert_element_type", "abs")  # fmt: skip


def read_by_head(
    run: Callable[..., tuple[jax.Array | None, ...]], variables: object, samples: jax.Array
) -> jax.Array | None:  # fmt: skip
    """What the head of a network reads, a vector for every sample; None where no head is found.

    Args:
      run: from weights and samples to the main output, and to what the module that returns it reads, if there is one.
      variables: weights.
      samples: a batch.
    """
    program = Program(run, variables, samples)
    main, *module_reads = program.outputs
    path = _path_to_products(main)
    if path is None:
        return None
    products, operations = path
    read = [product.data[0] for product in products]
    if len(products) > 1:
        read = [_before_product(value) or value for value in read]
        if any(value is not read[0] for value in read):
            return None
    for given in module_reads:  # a head that normalises what it reads
        names = [operation.name if operation else None for operation in between(read[0], given)]
        if given.shape == read[0].shape and set(names) <= set(NORMALISES):
            return program.compute(given)
    vectors = _pooled(program.compute(_before_norm(read[0])), products[0], operations)
    return vectors if has_vectors(vectors.shape, len(samples)) else None


def factor_and_offset(
    run: Callable[..., object], variables: object, shape: tuple[int, ...]
) -> tuple[float, float]:  # fmt: skip
    """Factor and offset that a network applies to images before its first product, by the results for 0 and 1.

    They are 1 and 0 where that is not known.

    Args:
      run: from weights and images to anything.
      variables: weights.
      shape: of one image.
    """
    images = jnp.broadcast_to(jnp.array([0.0, 1.0]).reshape(2, *[1] * len(shape)), (2, *shape))
    try:
        program = Program(run, variables, images)
        read = program.reads_first(PRODUCTS)
        if read is None or math.prod(read.shape) != images.size or read.shape[0] != 2:
            return 1.0, 0.0
        of_zero, of_one = (float(jnp.median(image)) for image in program.compute(read))
    except Exception:  # it takes another number of samples, say
        return 1.0, 0.0
    return of_one - of_zero, of_zero


def _path_to_products(main: Value) -> tuple[list[Operation], list[Operation]] | None:
    """The products with weights of which the main output is made, and the operations after them.

    None where anything else than a sum, a factor, a softmax, its logarithm, a sigmoid or pooling comes after them; of
    one number for every sample also what changes it alone.
    """
    waiting, seen, products, operations = [main], set(), [], []
    while waiting:
        value = waiting.pop()
        if not value.is_data or value in seen:
            continue
        seen.add(value)
        operation = value.operation
        if operation is None:
            return None
        if operation.name in PRODUCTS and len(operation.data) == 1:
            products += [operation] * (operation not in products)
            continue
        operations.append(operation)
        waiting += operation.inputs
    names = {operation.name for operation in operations}
    is_number = math.prod(main.shape[1:]) == 1  # of which nobody makes an embedding, whatever comes after the product
    changes = {*MAKES_PROBABILITIES, *(OF_NUMBERS if is_number else ())}
    makes_probabilities = bool(names & changes) or (is_number and "max" in names)
    is_known = names <= {*KEEPS_ORDER, *changes} and (makes_probabilities or "max" not in names)
    is_linear = all(_is_linear(operation) for operation in operations)
    if not products or not is_known or not (is_linear or (makes_probabilities and len(products) == 1)):
        return None
    factors = (value for op in operations if op.name in ("mul", "div") for value in op.inputs if not value.is_data)
    gates = any(operation.name == "mul" and len(operation.data) > 1 for operation in operations)
    return None if gates or not all(value.is_scalar for value in factors) else (products, operations)


def _is_linear(operation: Operation) -> bool:
    is_product = operation.name in ("mul", "div") and len(operation.data) > 1
    return operation.name in KEEPS_ORDER and operation.name not in ("max", "reduce_max") and not is_product


def _before_product(value: Value) -> Value | None:
    """What a product reads whose result is a value, as the first factor of a low-rank change."""
    path = _path_to_products(value)
    products, operations = path or ([], [])
    is_product = len(products) == 1 and all(_is_linear(operation) for operation in operations)
    return products[0].data[0] if is_product else None


def _before_norm(value: Value) -> Value:
    """The vectors whose lengths divide them, perhaps with a factor, where a value is made so; else the value."""
    inner = value
    while _is_scaled(inner):
        (inner,) = inner.operation.data  # pyright: ignore
    operation = inner.operation
    for source in operation.data if operation is not None and operation.name in ("div", "mul") else ():
        names = {each.name if each else None for each in between(inner, source)}
        if source.shape == inner.shape and "reduce_sum" in names and names <= set(NORMALISES):
            return source
    return value


def _is_scaled(value: Value) -> bool:
    """Whether a value is another one times or through one number."""
    operation = value.operation
    if operation is None or operation.name not in ("div", "mul") or len(operation.data) != 1:
        return False
    return all(given.is_scalar for given in operation.inputs if not given.is_data)


def _pooled(read: jax.Array, product: Operation, operations: list[Operation]) -> jax.Array:
    """What a head reads as vectors: of a product at every position, pooled as its result is.

    A convolution of the whole map, and a product with all axes, are products with their numbers as one vector.
    """
    (result,), samples = product.outputs, len(read)
    if has_vectors(result.shape, samples):
        if product.name == "dot_general" or product.inputs[1].shape[: read.ndim - 2] == read.shape[1:-1]:
            return read.reshape(samples, -1)
        return read
    if product.name != "dot_general":  # a convolution is a head of every position, with the channels last
        channels = product.equation.params["dimension_numbers"].lhs_spec[1]
        if channels != read.ndim - 1 or set(product.inputs[1].shape[: read.ndim - 2]) != {1}:
            return read
    positions = tuple(range(1, read.ndim - 1))
    for operation in operations:
        given = operation.inputs[0].shape
        if given != result.shape or len(given) != read.ndim:
            continue
        if operation.name == "reduce_sum" and tuple(operation.equation.params["axes"]) == positions:
            return read.mean(positions)
        if operation.name == "slice" and operation.outputs[0].shape[2:] == given[2:]:
            start, end = (operation.equation.params[name][1] for name in ("start_indices", "limit_indices"))
            return read[:, start:end]
    return read
