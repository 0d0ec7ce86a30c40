"""How often statements of `confidence=True` hold."""

from benchmarks.trust.calibration.subsamples import calibration

__all__ = ["calibration"]
