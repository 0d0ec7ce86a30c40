"""Arguments of operations in an exported program: values, or names of what the graph computes."""

# pyright: reportMissingImports=false

from collections.abc import Mapping
from typing import Any

from nrjax._utils.messages import printable, shortened

TEXTS = (  # arguments that are text and name no file
    "approximate", "rounding_mode", "mode", "padding", "equation", "reduce", "padding_mode", "indexing", "side", "ord",
    "interpolation", "msg", "assert_msg",
)  # fmt: skip
DTYPES = (  # in the order of their numbers in a file
    "", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex32", "complex64",
    "complex128", "bool", "bfloat16",
)  # fmt: skip
FORMATS = ("", "contiguous_format", "channels_last", "channels_last_3d", "preserve_format")
PLAIN = ("as_int", "as_float", "as_bool", "as_ints", "as_floats", "as_bools")
NAMED = ("as_tensor", "as_sym_int", "as_sym_float", "as_sym_bool")
MANY = ("as_tensors", "as_optional_tensors", "as_sym_ints", "as_sym_floats", "as_sym_bools", "as_nested_tensors")
STRIDED = 7


class Refused(ValueError):
    """What a program has and this reader does not take."""


class Name(str):
    """The name of a value in a graph."""


class Device:
    """The device of whatever an operation reads."""


def dtype_of(number: int) -> Any:
    """The type of a number."""
    import torch

    return getattr(torch, DTYPES[number])


def read_argument(content: Any, name: str) -> Any:
    """An argument: a value, or `Name` where the graph computes it."""
    import torch

    ((kind, value),) = content.items()
    if kind in PLAIN:
        return _plain(value)
    if kind in NAMED:
        return Name(value["name"] if "name" in value else value["as_name"]) if not _is_number(value) else _number(value)
    if kind in MANY:
        return [read_argument(_wrapped(entry, kind), name) for entry in value]
    if kind == "as_none" or value is None:
        return None
    if kind == "as_string" and name in TEXTS:
        return str(value)
    if kind == "as_scalar_type":
        return dtype_of(value)
    if kind == "as_memory_format":
        return getattr(torch, FORMATS[value])
    if kind == "as_layout" and value == STRIDED:
        return torch.strided
    if kind == "as_device":
        return Device()
    if kind == "as_optional_tensor":
        return read_argument(value, name)
    raise Refused(f"it passes {printable(shortened(kind, 40))} as {printable(shortened(name, 40)) or 'an argument'}")


def _plain(value: object) -> Any:
    """Numbers; JSON has no infinity, so that it is a text."""
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return float(value) if isinstance(value, str) else value


def _wrapped(entry: object, kind: str) -> Any:
    """One of several arguments as an argument of its own."""
    if kind == "as_optional_tensors":
        return entry
    if kind == "as_nested_tensors":
        return {"as_tensors": entry}
    return {kind.removesuffix("s"): entry}


def _is_number(value: Mapping[str, object]) -> bool:
    return "as_int" in value or "as_float" in value or "as_bool" in value


def _number(value: Mapping[str, object]) -> Any:
    return next(value[kind] for kind in ("as_int", "as_float", "as_bool") if kind in value)


def names_of(output: Any) -> Any:
    """The name of what comes out of a node, or the names of a list of tensors; None where there is none."""
    ((kind, value),) = output.items()
    if kind in NAMED:
        return value.get("name") or value.get("as_name")
    return [entry["name"] for entry in value] if kind == "as_tensors" else None


def names_in(thing: object) -> list[str]:
    """Names of values in arguments."""
    if isinstance(thing, Name):
        return [str(thing)]
    parts = thing.values() if isinstance(thing, dict) else thing if isinstance(thing, list) else ()
    return [name for part in parts for name in names_in(part)]


def filled(thing: object, given: Mapping[str, object], device: Any) -> Any:
    """Arguments with values for names."""
    if isinstance(thing, Name):
        return given[str(thing)]
    if isinstance(thing, Device):
        return device
    if isinstance(thing, dict):
        return {name: filled(part, given, device) for name, part in thing.items()}
    return [filled(part, given, device) for part in thing] if isinstance(thing, list) else thing
