"""Waveforms at another rate, by a linear-phase filter of SciPy."""

import functools
import math
from typing import Any

import numpy as np

ZEROS = 48  # zero crossings of the filter on each side
CUTOFF = 0.94  # of the lower Nyquist frequency; 0.88 of it passes within 0.01 dB, and aliases are below -90 dB
BETA = 9.0  # of the Kaiser window
MOST_TERMS = 100_000  # of the ratio of two rates; the filter has 96 coefficients for each


def ratio(rate: int, to: int) -> tuple[int, int]:
    """Factors `(up, down)` from one rate to another, in lowest terms."""
    divisor = math.gcd(rate, to)
    return to // divisor, rate // divisor


def reach(rate: int, to: int) -> int:
    """Samples before and behind a stretch that decide what it becomes; whole multiples of `down`."""
    up, down = ratio(rate, to)
    return 0 if up == down else down * math.ceil(ZEROS * max(up, down) / up / down)


def resample(waveform: np.ndarray, rate: int, to: int) -> np.ndarray:
    """A waveform `[time]` at another rate, float32 `[ceil(time * to / rate)]`; silence is assumed around it."""
    if rate == to:
        return waveform
    from scipy import signal  # slow to import

    up, down = ratio(rate, to)
    return signal.resample_poly(waveform, up, down, window=_filter(max(up, down))).astype(np.float32, copy=False)


@functools.lru_cache(16)
def _filter(factor: int) -> np.ndarray:
    from scipy import signal

    window: Any = ("kaiser", BETA)
    return np.asarray(signal.firwin(2 * ZEROS * factor + 1, CUTOFF / factor, window=window), np.float32)
