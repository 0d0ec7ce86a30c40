"""Scores 1.28 million x 256 from a file, and says how much memory that took.

python -m benchmarks.kernels.stream [--whole]
"""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

import nrjax

SAMPLES, DIMS, CLASSES, BATCH = 1_280_000, 256, 1_000, 8_192
BYTES = 4 * DIMS


def generate(path: Path) -> np.ndarray:
    """Writes features batch by batch, so that they are never whole in memory; returns labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, SAMPLES).astype(np.int32)
    middles = rng.standard_normal((CLASSES, DIMS), np.float32)
    scales = 1 / np.arange(1, DIMS + 1, dtype=np.float32)
    with path.open("wb") as file:
        for start in range(0, SAMPLES, BATCH):
            batch = middles[labels[start : start + BATCH]]
            file.write(((batch + rng.standard_normal(batch.shape, np.float32)) * scales).tobytes())
    return labels


class FromFile:
    """Batches of features and labels, read again in every pass."""

    def __init__(self, path: Path, labels: np.ndarray):
        self._path, self._labels = path, labels

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        with self._path.open("rb") as file:
            for start in range(0, SAMPLES, BATCH):
                labels = self._labels[start : start + BATCH]
                yield np.frombuffer(file.read(len(labels) * BYTES), np.float32).reshape(-1, DIMS), labels


def peak_mib() -> int:
    """Peak resident memory of this process (Linux; `getrusage` would count the process that started it)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024


@click.command(help=__doc__)
@click.option("--whole", is_flag=True, help="Load the file and score it in memory.")
def main(whole: bool) -> None:
    """The command."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features"
        labels = generate(path)
        start = time.perf_counter()
        if whole:
            features = np.fromfile(path, np.float32).reshape(SAMPLES, DIMS)
            score = nrjax.rank_batch({"m": features}, labels).scores["m"]
        else:
            score = nrjax.score_stream(FromFile(path, labels))
        seconds = time.perf_counter() - start
    click.echo(json.dumps({"score": score, "seconds": round(seconds, 1), "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main()
