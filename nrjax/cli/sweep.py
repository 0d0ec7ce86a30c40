"""`nrjax sweep` and `nrjax results`."""

import signal
import sys
import time
from pathlib import Path

import click

from nrjax.cli.head import request_of
from nrjax.cli.main import main
from nrjax.cli.options import (
    FORMAT,
    MODEL_FAILED,
    data_options,
    debug_option,
    forward_options,
    manual,
    scoring_options,
    where_option,
)
from nrjax.cli.output import check_outputs, features_of, finish, print_rows
from nrjax.cli.target import load_models, load_target, warnings_said, without_labels
from nrjax.cli.types import Bytes

INTERRUPTED = 130


@main.command(
    short_help="Rank many candidates and store the results.",
    epilog=manual(
        "nrjax sweep zoo/ --data photos/ --store results.db",
        "nrjax sweep list.toml --data photos/ --store results.db --top 5",
        'nrjax sweep list.toml --store results.db --where "parameters < 30e6"',
        "nrjax sweep list.toml --store results.db --time-limit 600 --memory-limit 8GB",
        "nrjax sweep list.toml --store results.db --engine ray --address auto",
        failure=MODEL_FAILED,
        stopped=True,
    ),
)
@click.argument("models", nargs=-1)
@data_options
@where_option
@click.option(
    "--store",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Store results in FILE (results.db); stored results are not computed again.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="K",
    help="Find the K best: candidates that cannot be among them stop early.",
)
@click.option(
    "--level",
    type=click.FloatRange(0.5, 1, min_open=True, max_open=True),
    default=0.99,
    show_default=True,
    help="Probability that --top keeps all of the K best.",
)
@click.option(
    "--engine",
    type=click.Choice(["inline", "local", "ray"]),
    default="local",
    show_default=True,
    help="local: worker processes; inline: this process; ray: worker processes on a Ray cluster.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: one per device]")
@click.option("--address", metavar="ADDRESS", help="Ray cluster, such as auto.  [default: one on this machine]")
@click.option(
    "--devices-per-model",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Accelerators per model with Ray; without accelerators, CPU cores.",
)
@click.option(
    "--time-limit", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Limit for each candidate."
)
@click.option("--memory-limit", type=Bytes(), metavar="SIZE", help="Limit for a worker process, such as 8GB.")
@click.option(
    "--keep-features",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Store features in DIR; other scores of the same samples then need no forward pass.",
)
@click.option("--retry-failed", is_flag=True, help="Try candidates again that crashed their worker.")
@click.option("--retry", multiple=True, metavar="NAME", help="The same for one candidate; may be repeated.")
@click.option(
    "--progress",
    type=click.Choice(["bar", "lines", "json", "none"]),
    help="On stderr: a bar, or a line per candidate.  [default: bar on a terminal, else lines]",
)
@forward_options
@scoring_options("silhouette,probe")
def sweep(
    models,
    data,
    target,
    where,
    n_clusters,
    store,
    progress,
    layer,
    layers,
    output,
    report,
    plot,
    device,
    builder,
    download,
    retry_failed,
    retry,
    **options,
):
    """Rank many candidates: select, stop losers early, store results.

    MODELS and data are as for nrjax rank. Run the same command again to continue: only missing results are computed.
    Ctrl-C keeps finished results.
    """  # fmt: skip
    import nrjax
    from nrjax import demo

    start = time.perf_counter()
    check_outputs(plot, report)
    candidates = load_models(models, str(demo.ZOO), where, device=device, builder=builder, download=download)
    loaded = load_target(data or demo.IMAGES, **target)
    before = signal.signal(signal.SIGTERM, _stopped)
    if progress is None:
        progress = "bar" if sys.stderr.isatty() else "lines"
    try:
        samples = without_labels(loaded, n_clusters, options)
        with warnings_said():
            swept = nrjax.sweep(
                candidates, samples, store=store, progress=False if progress == "none" else progress, layer=layer,
                layers=layers, retry_failed=retry_failed or list(retry),
                name=data or "the bundled Fashion-MNIST images", **options,
            )  # fmt: skip
    except KeyboardInterrupt:
        advice = f"finished results are in {store}; the same command continues from there" if store else \
            "no result was kept: --store FILE keeps finished results"  # fmt: skip
        click.echo(f"Stopped; {advice}.", err=True)
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)
    took = time.perf_counter() - start
    request = request_of(
        models, data, target if n_clusters is None else None, where=where, layer=layer, pooling=options["pooling"]
    )
    ranking = swept.ranking.with_settings(request=request)
    features = features_of(ranking, candidates, loaded.samples, layer, options["pooling"])
    summary = " ".join([*swept.remarks, f"Computed {swept.computed:,} results"])
    summary += f", {swept.stored:,} were stored" if store else ""
    news = f"{summary}, in {took:.1f} s."
    finish(ranking, output, plot, report, features, loaded.labels, news, loaded.groups)


def _stopped(*_: object) -> None:
    raise KeyboardInterrupt


@main.command(
    short_help="Show what a sweep has stored.",
    epilog=manual(
        "nrjax results results.db",
        "nrjax results results.db --run 2 --format csv",
        "nrjax results results.db --run 2 --compare 1",
        "nrjax results results.db --run 2 --html page.html",
    ),
)
@click.argument("store", type=click.Path(exists=True, path_type=Path))
@click.option("--run", "number", type=int, metavar="N", help="Show the ranking of run N.  [default: list the runs]")
@click.option("--compare", type=int, metavar="M", help="Compare run N with run M.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write run N to FILE, as a page that can be sorted and filtered.",
)
@click.option("--format", "output", type=FORMAT, default="table", show_default=True)
@debug_option
def results(store: Path, number: int | None, compare: int | None, html: Path | None, output: str) -> None:
    """Show the results in STORE: the list of runs, the ranking of one run, two runs side by side, or an HTML page."""
    from nrjax.cli.output import echo
    from nrjax.sweeps import Store, beside, dropped_of_run, listed, page_of, ranking_of_run, remarks_of

    with Store(store, read_only=True) as opened:
        runs = opened.runs()
    if number is None:
        if compare is not None or html is not None:
            raise click.UsageError("--compare and --html need a run: name it with --run N.")
        print_rows(listed(runs), output)
        return
    if compare == number:
        raise click.UsageError(f"--compare needs another run than --run; got {number} twice.")
    ranking = ranking_of_run(runs, number)
    if html is not None:
        check_outputs(None, html)
        html.write_text(page_of(runs, number), encoding="utf-8")
        click.echo(f"Wrote {html}.", err=True)
    if compare is not None:
        rows, remark = beside(runs, number, compare)
        print_rows(rows, output)
        click.echo(remark, err=True)
        return
    for line in remarks_of(ranking, dropped_of_run(runs, number)):
        click.echo(line, err=True)
    echo({"table": str, "json": type(ranking).to_json, "csv": type(ranking).to_csv}[output](ranking).rstrip("\n"))
