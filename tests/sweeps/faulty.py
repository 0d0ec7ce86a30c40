"""Models that do to their process what models do: they hang, crash, grow, shout."""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from nrjax.models import Inputs, Layer, Model


class Linear(Model):
    """Random features of arrays; `fault` happens before the first forward pass."""

    pure = True

    def __init__(self, seed, fault="", marks=None):
        self._seed, self._fault, self._marks = seed, fault, marks
        self.inputs = Inputs("array", (6,), "none", lambda samples: np.asarray(samples, np.float32))

    def layers(self, input_shape=None):
        return [Layer("input", (6,)), Layer("hidden", (8,))]

    def outputs(self, batch, layers, precision="float32"):
        if self._marks is not None:
            with open(Path(self._marks) / "passes", "a") as file:
                file.write(f"{self._seed}\n")
        fail(self._fault, self._marks)
        weights = np.random.default_rng(self._seed).normal(size=(6, 8)).astype(np.float32)
        return [np.maximum(batch @ weights, 0)] * len(layers)

    def parts(self):
        yield f"{self._seed} {self._fault}"


HELD = []


def fail(fault, marks):
    if fault == "raise":
        raise ValueError("these weights are for something else.")
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == "kill once" and not (Path(marks) / "killed").exists():
        (Path(marks) / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == "segfault":
        ctypes.string_at(0)
    elif fault == "hang":
        time.sleep(3600)
    elif fault == "grow":
        hold = [np.ones(1 << 24) for _ in range(40)]  # 5 GB, bit by bit
        time.sleep(3600 * len(hold))
    elif fault == "fork":  # a child that holds all that its parent held
        if os.fork() == 0:
            time.sleep(3600)
        os._exit(3)
    elif fault == "close":
        os.closerange(3, 200)
        time.sleep(3600)
    elif fault == "leak":
        HELD.append(np.ones(1 << 26))
    elif fault == "leave":
        os.chdir("/")
    elif fault == "shout":
        for _ in range(1 << 5):
            sys.stdout.write("x" * (1 << 20))
