"""What commands print and write: data on stdout, chatter on stderr, the exit code."""

import json
import shlex
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from nrjax._utils.paths import check_writable
from nrjax.cli.types import as_layer


def check_outputs(plot: Path | None, report: Path | None) -> None:
    """Whether the picture and the page can be written, before the work. Raises ValueError."""
    if plot is not None:
        from matplotlib.figure import Figure

        check_writable(plot, tuple(f".{kind}" for kind in Figure().canvas.get_supported_filetypes()))
    if report is not None:
        check_writable(report, (".html", ".htm"))


def echo(text: str) -> None:
    """On stdout; what a console has no sign for is drawn with what it has."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        text = text.replace("\N{BOX DRAWINGS LIGHT HORIZONTAL}", "-").encode(encoding, "replace").decode(encoding)
    click.echo(text)


def features_of(ranking: Any, candidates: Any, samples: Any, layer: Any, pooling: str | None) -> Callable[[str], Any]:
    """What gives the features of a ranked model by its name, once more: of the layer that it was ranked by."""
    from nrjax.models import as_model, extract_features

    def features(name: str) -> Any:
        model = as_model(candidates[name]).pooled_by(pooling)
        return extract_features(model, samples, as_layer(ranking[name].layer or layer))

    return features


def finish(
    ranking, output: str, plot: Path | None, report: Path | None, features: Callable[[str], Any],
    labels: Iterable[object] | None, news: str, groups: Iterable[object] | None = None,
) -> None:  # fmt: skip
    """The ranking on stdout, then the picture and the page if they were asked for, and the exit code."""
    text = {"table": str, "json": type(ranking).to_json, "csv": type(ranking).to_csv}[output](ranking)
    echo(text.rstrip("\n"))
    if plot is not None:
        from matplotlib.figure import Figure

        from nrjax.results.bars import any_script, figure_size

        figure = Figure(figsize=figure_size(ranking), layout="constrained")
        ranking.plot(ax=figure.subplots())
        with any_script():
            figure.savefig(plot, dpi=150)
        news += f" Drew {plot}."
    if report is not None:
        from nrjax.reports import write_report

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of the features, said when they were ranked
            write_report(ranking, report, features, labels, groups=groups, command=shlex.join(["nrjax", *sys.argv[1:]]))
        news += f" Wrote {report}."
    click.echo(news, err=True)
    if ranking.failed:
        click.echo(f"{len(ranking.failed)} of {len(ranking.models)} models failed.", err=True)
        sys.exit(1)


def print_rows(rows: list[dict[str, Any]], output: str) -> None:
    """Rows on stdout, as a table, JSON or CSV."""
    from nrjax.results.tables import as_csv, as_table

    text = {"table": as_table, "csv": as_csv, "json": lambda rows: json.dumps(rows, indent=2)}[output](rows)
    echo(text.rstrip("\n"))
