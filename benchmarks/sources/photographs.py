"""50,000 photographs of a folder through two models: images a second, and the memory at its peak.

CIFAR-10's training images, enlarged to 384 x 384 and saved as JPEG: 22 GB as arrays.
"""

import json
import multiprocessing
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import nrjax
from benchmarks.sources.networks import lite

SIDE = 384


def photographs(folder: Path, samples: int, data_dir: str | None, on_done: Callable[[str], None]) -> dict[str, Any]:
    """In a process of its own, whose memory nobody else has used."""
    start = time.perf_counter()
    written = _write(folder, samples, data_dir)
    on_done(f"{written} photographs, {time.perf_counter() - start:.0f} s")
    command = [sys.executable, "-m", "benchmarks.sources.photographs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"benchmarks.sources.photographs failed: {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1]) | {"samples": samples, "side": SIDE}


def _write(folder: Path, samples: int, data_dir: str | None) -> int:
    data = nrjax.load_dataset("cifar10", "train", max_samples=samples, data_dir=data_dir)
    for name in data.class_names:
        (folder / name).mkdir(parents=True, exist_ok=True)
    work = [
        (image, folder / data.class_names[label] / f"{i:05}.jpg")
        for i, (image, label) in enumerate(zip(data.images, data.labels, strict=True))
    ]
    with multiprocessing.get_context("spawn").Pool() as pool:
        return sum(pool.starmap(_save, work, chunksize=500))


def _save(image: np.ndarray, path: Path) -> int:
    if not path.exists():
        Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path, quality=85)
    return 1


def main(folder: str) -> None:
    """Ranks two models on a folder of images, and prints what it took as JSON."""
    start = time.perf_counter()
    data = nrjax.load_dataset(folder)
    loaded = time.perf_counter() - start
    preprocessing = nrjax.Preprocessing(
        mean=(127 / 255,) * 3, std=(128 / 255,) * 3, image_size=(64, 64), interpolation="bicubic"
    )
    models = {
        "C10": nrjax.load_demo().zoo["C10"], "lite0": nrjax.from_torch(lite(0), preprocessing=preprocessing),
    }  # fmt: skip
    seconds, features = {}, {}
    for name, model in models.items():
        start = time.perf_counter()
        features[name] = nrjax.extract_features(model, data.samples)
        seconds[name] = time.perf_counter() - start
    start = time.perf_counter()
    ranking = nrjax.rank_batch(features, data.labels, scores=("silhouette", "probe"))
    print(json.dumps({
        "loading": loaded, "seconds": seconds, "scoring": time.perf_counter() - start, "text": str(ranking),
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "arrays_gb": len(data.labels) * SIDE * SIDE * 3 / 2**30,
    }))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1])
