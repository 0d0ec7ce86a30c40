"""How often statements of `confidence=True` hold, on synthetic pools whose truth is known.

    python -m benchmarks.trust.calibration [--pools 30] [--draws 10] [--jobs 1] [--out FILE] [-k WORDS]

Half an hour on two cores with two jobs. The same on subsamples of real data is a part of `python -m benchmarks.trust`.
"""

import json
from pathlib import Path
from typing import Any

import click

from benchmarks.command import commit, device
from benchmarks.trust.calibration.pools import CASES, SIZE
from benchmarks.trust.calibration.statements import TRUTH_DRAWS, Statement, rows, table_of_first

HERE = Path(__file__).parent


@click.command(help=__doc__)
@click.option("--pools", type=click.IntRange(min=1), default=30, show_default=True)
@click.option("--draws", type=click.IntRange(min=2), default=10, show_default=True, help="Targets from each pool.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), default=HERE / "results" / "README.md", show_default=True
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes.")
@click.option("-k", "words", default="", help="Only cases whose names have these words.")
def main(pools: int, draws: int, out: Path, jobs: int, words: str) -> None:
    """The command."""
    table: list[dict[str, Any]] = []
    by_samples: dict[int, list[Statement]] = {}
    for row, said in rows([case for case in CASES if words in case.name], pools, draws, jobs):
        table.append(row)
        by_samples.setdefault(row["samples"], []).extend(said)
        click.echo(json.dumps(row), err=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(_page(table, by_samples, pools, draws), encoding="utf-8")


def _page(table: list[dict[str, Any]], by_samples: dict[int, list[Statement]], pools: int, draws: int) -> str:
    parts = [
        "# How often statements hold", "",
        f"Made by `python -m benchmarks.trust.calibration --pools {pools} --draws {draws}` at commit {commit()} on "
        f"{device()}.", "",
        f"Pools of {SIZE:,} samples with eight models that are about 6 % apart; small targets are drawn from them.",
        "Intervals say 0.9. The truth of a silhouette is the pool's; of an accuracy, its mean over "
        f"{TRUTH_DRAWS} other targets of this size.", "",
        _markdown(table), "",
    ]  # fmt: skip
    for samples, said in sorted(by_samples.items()):
        first = table_of_first(said)
        if first:
            parts += [f"## P(first), {samples:,} samples", "", _markdown(first), ""]
    return "\n".join(parts)


def _markdown(table: list[dict[str, Any]]) -> str:
    lines = [list(table[0]), ["---"] * len(table[0]), *(row.values() for row in table)]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


if __name__ == "__main__":
    main()
