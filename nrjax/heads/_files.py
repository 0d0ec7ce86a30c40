"""A head as two files: `head.safetensors` has its numbers, `head.json` the rest. Nothing in them is executed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from nrjax._utils.paths import check_regular
from nrjax._version import __version__
from nrjax.errors import FingerprintError
from nrjax.heads._head import Head
from nrjax.models import Model, as_model
from nrjax.target_tasks import TASKS

WEIGHTS, DESCRIPTION = "head.safetensors", "head.json"
MOST_BYTES = 1 << 24  # of a description


def save_head(head: Head, directory: Path) -> None:
    """See `Head.save`."""
    directory.mkdir(parents=True, exist_ok=True)
    arrays = {"weights": head.weights, "bias": head.bias} | ({} if head.limits is None else {"limits": head.limits})
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, directory / WEIGHTS)
    described = {
        "task": head.task, "layer": head.layer, "pooling": head.model.pooling,
        "classes": [_plain(label) for label in head.classes],
        "temperature": head.temperature, "offset": head.offset, "alpha": head.alpha, "score": head.score,
        "source": head.model.description.source, "fingerprint": _fingerprint(head.model),
        "preprocessing": head.model.inputs.preprocessing, "nrjax": __version__,
    }  # fmt: skip
    (directory / DESCRIPTION).write_text(json.dumps(described, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def load_head(directory: str | Path, model: object) -> Head:
    """Loads a head that `Head.save` wrote, on the model that it was fitted on.

    Args:
      directory: of the head.
      model: any model that `nrjax.rank` accepts.

    Raises:
      ValueError: files that are missing or damaged; a model that is not the one that the head was fitted on.

    Examples:
      >>> nrjax.fit_head(zoo["F10"], images, labels).save("head")
      >>> nrjax.load_head("head", zoo["F10"]).predict(images[:3]).shape
      (3,)
    """
    directory, model = Path(directory), as_model(model)
    path = check_regular(directory / DESCRIPTION, str(directory / DESCRIPTION))
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{DESCRIPTION} has {path.stat().st_size:,} bytes; at most {MOST_BYTES:,} are read.")
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        arrays = load_file(check_regular(directory / WEIGHTS))
        weights, bias, limits = arrays["weights"], arrays["bias"], arrays.get("limits")
        fields = {name: described[name] for name in ("task", "layer", "temperature", "offset", "alpha", "score")}
        classes, fingerprint = tuple(described["classes"]), described["fingerprint"]
        temperature, pooling = fields["temperature"], described.get("pooling")
        if fields["task"] not in TASKS or not isinstance(fields["layer"], (str, int)):
            raise ValueError(f"task {fields['task']!r}, layer {fields['layer']!r}")
        if not (temperature is None or float(temperature) > 0) or (temperature is None) != (
            fields["task"] == "regression"
        ):
            raise ValueError(f"temperature {temperature!r}")
    except ValueError as error:
        raise ValueError(f"{directory} holds no head that can be read: {error}.") from error
    except Exception as error:  # whatever a library raises at damaged files
        raise ValueError(f"{directory} holds no head that can be read: {type(error).__name__} {error}.") from error
    limits_fit = limits is None or limits.shape == (2, len(weights))
    if weights.ndim != 2 or bias.shape != weights.shape[1:] or len(classes) != len(bias) or not limits_fit:
        raise ValueError(
            f"{directory} holds no head that can be read: weights {weights.shape}, bias {bias.shape}, "
            f"{len(classes)} classes."
        )
    model = model.pooled_by(pooling)
    if fields["task"] == "classification":
        model = model.with_classes(classes)  # they are part of a zero-shot classifier
    if fingerprint and fingerprint != _fingerprint(model):
        raise ValueError(
            f"the head in {directory} was fitted on another model ({described.get('source') or fingerprint[:12]}), or "
            "its weights or preprocessing have changed; fit it again."
        )
    return Head(model, classes=classes, weights=weights, bias=bias, limits=limits, **fields)


def _fingerprint(model: Model) -> str | None:
    """None where it cannot be told whether it is the same model the next time."""
    try:
        return model.fingerprint
    except FingerprintError:
        return None


def _plain(label: object) -> Any:
    """As JSON has it; dates and the like are text."""
    label = label.item() if isinstance(label, np.generic) else label
    return label if isinstance(label, (str, int, float, bool)) else str(label)
