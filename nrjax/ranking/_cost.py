"""What the forward pass of a candidate costs on this machine."""

import time


class BatchClock:
    """Times batches.

    Attributes:
      samples: of all batches.
    """

    def __init__(self):
        self._first = self._last = 0.0
        self.samples = self._samples_of_first = 0

    def tick(self, samples: int) -> None:
        """A batch of so many samples is done."""
        self._last = time.perf_counter()
        if not self.samples:
            self._first, self._samples_of_first = self._last, samples
        self.samples += samples

    @property
    def ms(self) -> float | None:
        """Milliseconds a sample, preprocessing included; without the first batch, which compiles.

        None where there was no second one.
        """
        counted = self.samples - self._samples_of_first
        return 1e3 * (self._last - self._first) / counted if counted else None
