"""`model.json` of a model in a zoo: its fields, checked as untrusted input."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from nrjax._utils.messages import first_line, shortened
from nrjax.errors import ZooError
from nrjax.models._preprocessing import Preprocessing

DESCRIPTION = "model.json"
MOST_BYTES = 1 << 20  # of a description
MOST_INPUTS = 1 << 26  # values of one input
MOST_NAMED = 5  # unknown fields that an error lists
_FIELDS = {
    "architecture": str, "config": dict, "input_shape": list, "weights": str,
    "preprocessing": dict, "tags": dict, "license": str, "source": str,
}  # fmt: skip
_REQUIRED = ("architecture", "config", "input_shape", "weights")


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """The content of `model.json`. Shapes without the sample axis; `weights` is a path inside the model's folder."""

    architecture: str
    config: dict[str, Any]
    input_shape: tuple[int, ...]
    weights: str
    preprocessing: Preprocessing = Preprocessing()
    tags: dict[str, Any] = dataclasses.field(default_factory=dict)
    license: str = ""
    source: str = ""


def write_description(path: Path, info: ModelInfo) -> None:
    """Writes a description; of the preprocessing mean, std, and what differs from the default."""
    fields = dataclasses.asdict(info)
    defaults = dataclasses.asdict(Preprocessing())
    fields["preprocessing"] = {
        key: value for key, value in fields["preprocessing"].items() if key in ("mean", "std") or value != defaults[key]
    }
    path.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


def read_description(path: Path) -> ModelInfo:
    """Reads a description.

    Raises:
      ZooError: it is no JSON, or has fields that are missing, unknown or of a wrong type.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ZooError(f"{DESCRIPTION} is larger than {MOST_BYTES} bytes")
    try:
        fields = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ZooError(f"{DESCRIPTION} is not JSON: {first_line(error)}") from error
    if not isinstance(fields, dict):
        raise ZooError(f"{DESCRIPTION} must be an object with {', '.join(_REQUIRED)}; it is a {type(fields).__name__}")
    problems = _problems(fields)
    if problems:
        raise ZooError(f"{DESCRIPTION}: {'; '.join(problems)}")
    fields["input_shape"] = tuple(fields["input_shape"])
    fields["preprocessing"] = _read_preprocessing(fields.get("preprocessing", {}))
    return ModelInfo(**fields)


def _problems(fields: dict[str, Any]) -> list[str]:
    problems = [f"{key} is missing" for key in _REQUIRED if key not in fields]
    unknown = [key for key in fields if key not in _FIELDS]
    problems += [f"{shortened(key, 60)} is not a field" for key in unknown[:MOST_NAMED]]
    if len(unknown) > MOST_NAMED:
        problems.append(f"and {len(unknown) - MOST_NAMED} more are not")
    problems += [
        f"{key} must be a {kind.__name__}"
        for key, kind in _FIELDS.items()
        if key in fields and not isinstance(fields[key], kind)
    ]
    if problems:
        return problems
    shape = fields["input_shape"]
    if not all(type(size) is int and size > 0 for size in shape):
        return ["input_shape must hold positive integers"]
    if len(shape) > 8 or math.prod(shape) > MOST_INPUTS:
        return [f"input_shape must have at most 8 axes and {MOST_INPUTS:,} values"]
    return []


def _read_preprocessing(fields: dict[str, Any]) -> Preprocessing:
    for key, values in fields.items():
        are_numbers = isinstance(values, list) and all(type(v) in (int, float) and abs(v) <= 1e30 for v in values)
        if key in ("mean", "std") and (not are_numbers or not values or (key == "std" and min(values) <= 0)):
            raise ZooError(
                f"{DESCRIPTION}: preprocessing takes mean and std, lists of numbers, std positive; got {key}"
            )
    try:
        options: dict[str, Any] = {
            key: tuple(float(v) for v in values) if key in ("mean", "std") else tuple(values)
            if isinstance(values, list) else values for key, values in fields.items()
        }  # fmt: skip
        return Preprocessing(**options)
    except (TypeError, ValueError) as error:
        known = ", ".join(field.name for field in dataclasses.fields(Preprocessing))
        raise ZooError(f"{DESCRIPTION}: preprocessing takes {known}: {first_line(error)}") from error
