"""What a fresh process waits for: `import nrjax` beside `import jax`, and `nrjax rank` from start to table.

python -m benchmarks.startup [--runs N]
"""

import statistics
import subprocess
import sys
import tempfile
import time

import click

CACHE = "CACHE"  # stands for a directory that is there for one run of this benchmark
COMMANDS = {
    "import jax": ["-c", "import jax"],
    "import nrjax": ["-c", "import nrjax"],
    "nrjax rank": ["-m", "nrjax", "rank"],
    "nrjax rank, programs kept": ["-m", "nrjax", "--compilation-cache", CACHE, "rank"],
}


@click.command(help=__doc__)
@click.option(
    "--runs", type=click.IntRange(min=1), default=7, show_default=True, help="Interleaved; medians are shown."
)
def main(runs: int) -> None:
    """The command."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as cache:
        for i in range(1 + runs):  # the first round fills the caches and does not count
            for name, arguments in COMMANDS.items():
                command = [sys.executable, *(cache if word == CACHE else word for word in arguments)]
                start = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                if i:
                    times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        click.echo(f"{name:26}{median:6.2f} s   ({min(times[name]):.2f} to {max(times[name]):.2f})")
    click.echo(f"nrjax adds {medians['import nrjax'] - medians['import jax']:.2f} s to import jax")


if __name__ == "__main__":
    main()
