"""Everything that is said of speed on accelerators, on whatever JAX finds.

    pip install '.[cuda,tfds]' --group bench
    python -m benchmarks.accelerator [--parts PART ...] [--features DIR] [--resume] [--out DIR]

machine      reads, products of every precision, small factorisations: what the others are held against
solvers      whole scores of 10,000 x 1,024: 1 to 256 models by iteration to three tolerances, one model in float64
where        which parts of its steps the time of a batch goes to, and how many steps it takes
agreement    scores of trained networks' features beside float64; those of DIR, too (benchmarks.kernels.elsewhere)
beside       PyTorch, cuML, scikit-learn and scib-metrics on the same arrays
rankings     rank_batch from host and device, a stream
silhouettes  to a million samples
forward      networks of Flax and PyTorch, in every precision
sweeps       nrjax sweep of a generated zoo, how busy the device is
memory       peak beside the prediction; models that do not fit
others       the other scores

Files are named after the device. Every figure goes into the JSON at once, so a run that is cut off keeps what it has;
tables and pictures follow each part. After `--minutes` no further part is begun, and `--resume` leaves out the parts
that are whole. On a CPU sizes are smaller.
"""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

import nrjax
from benchmarks.accelerator import beside, document, forward, machine, scoring, where, whole
from benchmarks.command import commit, device, invocation, main_of, parser

RESULTS = Path(__file__).parent / "results"
PARTS: dict[str, Callable[..., Iterator[dict[str, Any]]]] = {
    "machine": machine.machine,
    "solvers": scoring.solvers,
    "where": where.where,
    "agreement": scoring.agreement,
    "beside": beside.beside,
    "rankings": scoring.rankings,
    "silhouettes": scoring.silhouettes,
    "forward": forward.forward,
    "sweeps": whole.sweeps,
    "memory": whole.memory,
    "others": scoring.others,
}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    said = parser("benchmarks.accelerator", __doc__)
    said.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS), help="Only these; the others stay.")
    said.add_argument("--features", type=Path, dest="folder", help="Features of networks, NAME.npz each.")
    said.add_argument("--minutes", type=float, default=8, help="After which no further part is begun [8].")
    said.add_argument("--resume", action="store_true", help="Leave out parts that are there.")
    said.add_argument("--out", type=Path, default=RESULTS, help="Where results go.")
    return said.parse_args(argv)


def run(options: argparse.Namespace) -> None:
    """Measures the parts asked for, each written as soon as it is known."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch and sweeps' workers need room, too
    start, console = time.perf_counter(), Console(stderr=True)
    options.out.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", jax.devices()[0].device_kind.lower()).strip("-")
    path = options.out / f"{name}.json"
    doc: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for part in options.parts:
        if options.resume and doc.get(part, {}).get("whole"):
            continue
        if time.perf_counter() - start > 60 * options.minutes:
            console.print(f"{part} and what follows were left out: --resume goes on", highlight=False)
            break
        alone = argparse.Namespace(**vars(options) | {"parts": [part], "minutes": 8})
        begun = time.perf_counter()
        made = doc[part] = {
            "rows": [], "whole": False, "seconds": 0.0, "commit": commit(), "device": device(),
            "command": invocation("benchmarks.accelerator", alone, arguments([])),
            "jax": jax.__version__, "nrjax": nrjax.__version__,
        }  # fmt: skip
        for row in PARTS[part](options.folder) if part == "agreement" else PARTS[part]():
            made["rows"].append(row)
            made["seconds"] = round(time.perf_counter() - begun, 1)
            _keep(doc, path)
            console.print(f"{part}: {_short(row)}", highlight=False)
        made["whole"] = True
        _keep(doc, path)
        document.write(doc, path.with_suffix(".md"))


def _keep(doc: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(doc, indent=1) + "\n", encoding="utf-8")


def _short(row: dict[str, Any]) -> str:
    words = [f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()]
    return ", ".join(words)[:200]


main = main_of(arguments, run)

if __name__ == "__main__":
    sys.exit(main())
