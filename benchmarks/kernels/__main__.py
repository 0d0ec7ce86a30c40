"""Runs every kernel benchmark and writes one JSON, one Markdown table and the plots.

    python -m benchmarks.kernels [--out DIR] [-k EXPRESSION]

Files are named after the backend, so that results of a CPU and a GPU lie side by side. Races on real features need
the trained CNNs of `python -m benchmarks.paper`, and skip without them.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import click
import jax

from benchmarks.kernels import report

HERE = Path(__file__).parent


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=HERE / "results", show_default=True)
@click.option("-k", "expression", default="", help="Only benchmarks whose names match, as for pytest.")
def main(out: Path, expression: str) -> None:
    """The command."""
    with tempfile.TemporaryDirectory() as folder:
        measured = Path(folder) / "measured.json"
        run = subprocess.run(
            [
                sys.executable, "-m", "pytest", str(HERE), "-n", "0", "-q", "-rs", "-k", expression,
                "--benchmark-only", f"--benchmark-json={measured}", "--benchmark-columns=median,iqr,rounds",
            ]
        )  # fmt: skip
        if run.returncode:
            sys.exit(run.returncode)
        report.write(measured, out, jax.default_backend())


if __name__ == "__main__":
    main()
