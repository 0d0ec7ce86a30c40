"""Features that are kept: what a model gave for the first samples of a target's order, so that it runs but once."""

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from nrjax._utils.messages import first_line
from nrjax._utils.paths import check_regular
from nrjax.models import Extracted

PROBABILITIES = "probabilities"
RACE = "made-by-a-race"  # a file in folders that a race may remove
LAYER = "layer "  # begins the name of the tensor of a layer


def race_folder(store: Path) -> Path | None:
    """A folder beside a store for the features of a race, which a later race finds; None where it is somebody's own."""
    folder = store.with_name(f"{store.name}.race")
    if folder.exists() and not (folder / RACE).exists():
        return None
    folder.mkdir(exist_ok=True)
    (folder / RACE).touch()
    return folder


def keep_folder(folder: Path) -> None:
    """From now on a folder is the user's, whoever made it."""
    (folder / RACE).unlink(missing_ok=True)


class Prefix(NamedTuple):
    """Features of the first so many samples."""

    samples: int
    extracted: Extracted


class FeatureCache:
    """Features in files of a folder, one of each model; named by all that decides their numbers.

    Args:
      folder: made if it is not there.
      target: fingerprint of the samples.
      asked: what decides the features of a model, as text.
    """

    def __init__(self, folder: Path, target: str, asked: str):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._what = folder, f"{target} {asked}"

    def path(self, fingerprint: str) -> Path:
        """The file of a model."""
        named = hashlib.sha256(f"{fingerprint} {self._what}".encode()).hexdigest()
        return self.folder / f"{named[:40]}.safetensors"

    def samples(self, fingerprint: str) -> int:
        """How many samples are kept of a model."""
        samples = self._opened(fingerprint, lambda file: int(file.metadata()["samples"]))
        return samples or 0

    def read(self, fingerprint: str) -> Prefix | None:
        """What is kept of a model; None where nothing is, or the file is damaged."""
        return self._opened(fingerprint, _read)

    def write(self, fingerprint: str, samples: int, extracted: Extracted) -> None:
        """Replaces what is kept of a model; a crash leaves the old file or the new one, a full disk costs only this."""
        arrays = {LAYER + name: layer for name, layer in extracted.layers.items() if isinstance(layer, np.ndarray)}
        reasons = {name: layer for name, layer in extracted.layers.items() if isinstance(layer, str)}
        probabilities = extracted.probabilities
        if isinstance(probabilities, np.ndarray):
            arrays[PROBABILITIES] = probabilities
        described = {
            "samples": samples, "order": list(extracted.layers), "reasons": reasons,
            "probabilities": probabilities if isinstance(probabilities, str) else None,
        }  # fmt: skip
        metadata = {key: json.dumps(value) for key, value in described.items()}
        path = self.path(fingerprint)
        half = path.with_suffix(f".{os.getpid()}.half")
        try:
            save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, half, metadata)
            half.replace(path)
        except (OSError, SafetensorError) as error:
            warnings.warn(f"Features are not kept: {first_line(error)}.", RuntimeWarning, stacklevel=2)
        finally:
            half.unlink(missing_ok=True)

    def drop(self, fingerprint: str) -> None:
        """Keeps nothing of a model any more."""
        self.path(fingerprint).unlink(missing_ok=True)

    def _opened(self, fingerprint: str, of):
        path = self.path(fingerprint)
        if not path.exists():
            return None
        try:
            with safe_open(check_regular(path), "np") as file:
                return of(file)
        except (SafetensorError, ValueError, KeyError, TypeError, OSError):
            return None  # it is computed anew, and replaced


def _read(file) -> Prefix:
    described = {key: json.loads(value) for key, value in file.metadata().items()}
    names = set(file.keys())
    layers = {
        name: file.get_tensor(LAYER + name) if LAYER + name in names else str(described["reasons"][name])
        for name in described["order"]
    }  # fmt: skip
    probabilities = file.get_tensor(PROBABILITIES) if PROBABILITIES in names else described["probabilities"]
    samples = int(described["samples"])
    if any(len(array) != samples for array in [*layers.values(), probabilities] if isinstance(array, np.ndarray)):
        raise ValueError("not one row for each sample")
    return Prefix(samples, Extracted(layers, probabilities))
