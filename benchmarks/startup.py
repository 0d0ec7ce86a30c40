"""What a fresh process waits for: `import nrjax` beside `import jax`, and `nrjax rank` from start to table.

python -m benchmarks.startup [--runs N]
"""

import statistics
import subprocess
import sys
import time

import click

COMMANDS = {
    "import jax": ["-c", "import jax"],
    "import nrjax": ["-c", "import nrjax"],
    "nrjax rank": ["-m", "nrjax", "rank"],
}


@click.command(help=__doc__)
@click.option(
    "--runs", type=click.IntRange(min=1), default=7, show_default=True, help="Interleaved; medians are shown."
)
def main(runs: int) -> None:
    """The command."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, arguments in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        click.echo(f"{name:14}{median:6.2f} s   ({min(times[name]):.2f} to {max(times[name]):.2f})")
    click.echo(f"nrjax adds {medians['import nrjax'] - medians['import jax']:.2f} s to import jax")


if __name__ == "__main__":
    main()
