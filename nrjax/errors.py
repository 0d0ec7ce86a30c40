"""The exceptions of nrjax: `NrjaxError` and one class for each cause that a program may want to handle apart.

Wrong arguments are a plain ValueError or TypeError, and a missing file is FileNotFoundError. All classes here are
ValueErrors too, so that `except ValueError` catches everything that is wrong with the input.
"""

__all__ = [
    "BrokenImage", "BrokenRecording", "CheckpointError", "FingerprintError", "LayerError", "MissingFramework",
    "NrjaxError", "StoreError", "ZooError",
]  # fmt: skip


class NrjaxError(ValueError):
    """Something that nrjax was given cannot be used; the message is one line.

    Examples:
      >>> try:
      ...     nrjax.extract_features(zoo["F10"], images, layer="attention")
      ... except nrjax.NrjaxError as error:
      ...     print(type(error).__name__)
      LayerError
    """


class MissingFramework(NrjaxError):
    """A framework that is needed and not installed, or that does not import; the message says how to get it."""


class LayerError(NrjaxError):
    """The model has no such layer; the message lists those it has."""


class ZooError(NrjaxError):
    """A model of a zoo that cannot be loaded, and why."""


class CheckpointError(NrjaxError):
    """Weights that cannot be read, or that belong to another architecture."""


class FingerprintError(NrjaxError):
    """A part of a model cannot be read, so that a changed model could not be told from the same one."""


class BrokenImage(NrjaxError):
    """An image that cannot be read, and why; `skip_broken=True` leaves such images out."""


class BrokenRecording(NrjaxError):
    """A recording that cannot be read, and why; `skip_broken=True` leaves such recordings out."""


class StoreError(NrjaxError):
    """The store of a sweep is damaged, of a newer nrjax, cannot be written, or another sweep writes to it."""
