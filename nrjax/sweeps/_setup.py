"""What every worker process needs, in files without names: nothing is left of them, however processes end."""

import contextlib
import mmap
import tempfile
from collections.abc import Mapping
from typing import Any

import cloudpickle
import numpy as np

from nrjax._utils.messages import first_line
from nrjax.models import Candidates, Zoo
from nrjax.ranking import CandidateRunner, ExtractionSpec, LabelledSamples
from nrjax.sweeps._architectures import packed_architectures, unpack_architectures
from nrjax.sweeps._cached_extraction import extraction_of


class Setup:
    """Models and samples on their way to worker processes.

    Args:
      models: by name; what is not importable goes over by value.
      target: the samples.
      spec: what is taken of every model.
      cache: where features are kept.

    Attributes:
      refused: why models cannot be handed over, by name.
      files: their numbers, which processes inherit: models, and samples that are an array.

    Raises:
      ValueError: the samples cannot be handed over, or the disk is full.
    """

    def __init__(self, models: Mapping[str, object], target: LabelledSamples, spec: ExtractionSpec, cache: object):
        array = target.samples if isinstance(target.samples, np.ndarray) else None
        fields = {"kind": target.kind, "target": target.target}
        samples = target.samples if array is None else (array.dtype, array.shape)
        packed, self.refused = packed_models(
            models, samples, array is not None, fields, spec, cache, packed_architectures()
        )
        try:
            self._files = [_written(lambda file: file.write(packed))]
            if array is not None:
                self._files.append(_written(np.ascontiguousarray(array).tofile))
        except OSError as error:
            raise ValueError(
                f"there is no space for the samples of other processes in {tempfile.gettempdir()} ({error.strerror}). "
                "Set TMPDIR to a folder on a larger disk, or use engine='inline'."
            ) from error
        self.files = tuple(file.fileno() for file in self._files)

    def close(self) -> None:
        """Gives the disk free, as soon as no process reads from it."""
        for file in self._files:
            file.close()


def runner_of(files: tuple[int, ...]) -> CandidateRunner:
    """What does jobs, in a worker process; `files` are those of a `Setup`."""
    models, samples, is_array, fields, spec, cache, architectures = cloudpickle.loads(_mapped(files[0]))
    unpack_architectures(architectures)
    if is_array:
        dtype, shape = samples
        samples = np.frombuffer(_mapped(files[1]), dtype).reshape(shape)
    target = LabelledSamples(samples=samples, **fields)
    return CandidateRunner(models, target, extraction_of(target, spec, cache), fingerprints=True, in_worker=True)


def packed_models(models: Mapping[str, object], *rest: object) -> tuple[bytes, dict[str, str]]:
    """Models and what goes with them as bytes; and why some models stay behind, by name.

    Raises:
      ValueError: what goes with them cannot be handed over.
    """
    with contextlib.suppress(Exception):
        return cloudpickle.dumps((models, *rest)), {}
    reasons = {name: reason for name in models if (reason := _reason(models, name))}
    if isinstance(models, Candidates):
        models = models.without(reasons)
    elif reasons:
        models = {name: models[name] for name in models if name not in reasons}
    try:
        return cloudpickle.dumps((models, *rest)), reasons
    except Exception as error:
        raise ValueError(f"these samples {_NOT_HANDED} ({type(error).__name__}: {first_line(error)}).") from error


_NOT_HANDED = "cannot be handed to other processes"


def _reason(models: Mapping[str, object], name: str) -> str:
    try:
        if isinstance(models, Candidates):
            cloudpickle.dumps(models.without(set(models) - {name}))
        elif not isinstance(models, Zoo):
            cloudpickle.dumps(models[name])
    except Exception as error:
        return (
            f"It {_NOT_HANDED} ({type(error).__name__}: {first_line(error)}). Use engine='inline', or save the model "
            "and name it."
        )
    return ""


def _written(write: Any) -> Any:
    file = tempfile.TemporaryFile(prefix="nrjax-")
    try:
        write(file)
        file.flush()
    except BaseException:
        file.close()
        raise
    return file


def _mapped(file: int) -> mmap.mmap:
    """A file as memory that processes share; it has no place, which they would share as well."""
    return mmap.mmap(file, 0, access=mmap.ACCESS_READ)
