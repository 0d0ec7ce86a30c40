"""`nrjax` on the command line: data on stdout, chatter on stderr; exit 1 when a model failed, 2 for usage."""

import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from nrjax._options import FORMAT, Classes, Layer, LayerList, OneLineErrors, debug_option, scoring_options
from nrjax._version import __version__

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nrjax")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--compilation-cache",
    envvar="NRJAX_COMPILATION_CACHE",
    show_envvar=True,
    metavar="DIR",
    help="Keep compiled programs in DIR, for a faster start next time.",
)
def main(debug: bool, compilation_cache: str | None) -> None:
    """Which pre-trained model should I start from, for my data?

    neuralRank scores how well a layer of each model separates the classes of your labelled data, without
    training anything: principal components of the layer's outputs, then their mean silhouette.
    """
    if compilation_cache:
        from nrjax.compilation import cache_compilations

        cache_compilations(compilation_cache)


@main.command()
@click.argument("zoo", type=FOLDER, required=False)
@click.option(
    "--data", metavar="NAME", help="TFDS name, directory of images per class, or .npz. Default: bundled images."
)
@click.option("--split", default="test", show_default=True, help="Split of the dataset.")
@click.option("--classes", type=Classes(), metavar="IDS", help="Classes to use, such as 0-4 or 0,3,7-9. Default: all.")
@click.option(
    "--layer",
    type=Layer(),
    default="penultimate",
    show_default=True,
    help="Name or index (0 the input, -1 the last); penultimate is the input of the last dense layer; best is "
    "the one that scores best.",
)
@click.option(
    "--layers", type=LayerList(), metavar="NAMES", help="Several layers, such as 0,2,penultimate: the best counts."
)
@click.option("--max-samples", type=click.IntRange(min=1), help="Use so many images, in the classes' proportions.")
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses the images of --max-samples.")
@click.option("--data-dir", type=FOLDER, help="Where TFDS keeps its datasets.")
@click.option("--batch-size", type=click.IntRange(min=1), default=256, show_default=True, help="Images at once.")
@scoring_options
def rank(
    zoo, data, split, classes, layer, layers, max_samples, seed, data_dir, batch_size, output, report, plot, **options
) -> None:  # fmt: skip
    """Rank the models of ZOO on labelled images, best first.

    Without ZOO the bundled zoo is ranked, without --data on 1,000 bundled Fashion-MNIST images.
    """
    import nrjax
    from nrjax import demo

    start = time.perf_counter()
    target = nrjax.load_dataset(
        data or demo.IMAGES, split, classes=classes, max_samples=max_samples, seed=seed, data_dir=data_dir
    )
    ranking = nrjax.rank(
        zoo or demo.ZOO, target.images, target.labels, layer=layer, layers=layers, batch_size=batch_size, **options
    )  # fmt: skip
    shown = f"{zoo or 'the bundled zoo'} on {data or 'the bundled Fashion-MNIST images'}"
    took = time.perf_counter() - start

    def features(model: str) -> Any:
        chosen = next(m.layer for m in ranking.models if m.name == model) or layer
        return nrjax.extract_features(
            nrjax.load_zoo(zoo or demo.ZOO)[model], target.images, Layer().convert(chosen, None, None)
        )

    _finish(ranking, output, plot, report, features, target.labels, f"Ranked {shown} in {took:.1f} s.")


@main.command("rank-features")
@click.argument("directory", type=FOLDER)
@click.option(
    "--labels",
    "labels_path",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="One label per sample: .npy, .npz or .safetensors (key labels), or text, a label per line.",
)
@click.option(
    "--probabilities", type=FOLDER, metavar="DIR",
    help="Files as in DIRECTORY with the probabilities of each model's own classes, for leep and nce.",
)  # fmt: skip
@scoring_options
def rank_features(directory: Path, labels_path: Path, probabilities, output, report, plot, **options) -> None:
    """Rank features that were extracted elsewhere.

    DIRECTORY holds one file per model, .npy, .npz or .safetensors, each [samples, dims].
    """
    import nrjax
    from nrjax.files import FeatureFiles, read_labels

    start = time.perf_counter()
    features = FeatureFiles(directory, skip=labels_path)
    labels = read_labels(labels_path)
    theta = FeatureFiles(probabilities, skip=labels_path) if probabilities else None
    ranking = nrjax.rank_batch(features, labels, probabilities=theta, **options)
    took = time.perf_counter() - start
    _finish(ranking, output, plot, report, features.__getitem__, labels, f"Ranked {directory} in {took:.1f} s.")


@main.command()
@click.argument("zoo", type=FOLDER, required=False)
@click.option("--format", "output", type=FORMAT, default="table", show_default=True)
@debug_option
def zoo(zoo: Path | None, output: str) -> None:
    """List the models of ZOO (default: the bundled one)."""
    from nrjax import demo
    from nrjax.zoo import ZooError, load_zoo

    opened, rows, failed = load_zoo(zoo or demo.ZOO), [], False
    for name in opened:
        try:
            info = opened.info(name)
            tags = {key: value for key, value in info.tags.items() if isinstance(value, (str, int, float))}
            shape = "x".join(map(str, info.input_shape))
            rows.append(
                {"model": name, "architecture": info.architecture, "input": shape, **tags, "license": info.license}
            )
        except ZooError as error:
            failed = True
            rows.append({"model": name, "problem": str(error)})
    _print_rows(rows, output)
    sys.exit(1 if failed else 0)


@main.command()
@click.argument("zoo", type=FOLDER)
@click.argument("name")
@click.option("--format", "output", type=FORMAT, default="table", show_default=True)
@debug_option
def layers(zoo: Path, name: str, output: str) -> None:
    """List the layers of a model, in order of execution."""
    import nrjax

    listed = nrjax.layers(nrjax.load_zoo(zoo)[name])
    rows = [
        {"index": i, "layer": layer.name, "shape": "x".join(map(str, layer.shape)), "dims": layer.dims}
        for i, layer in enumerate(listed)
    ]
    _print_rows(rows, output)


def _finish(
    ranking, output: str, plot: Path | None, report: Path | None, features: Callable[[str], Any], labels: Any, news: str
) -> None:
    """The ranking on stdout, then the picture and the page if they were asked for, and the exit code."""
    text = {"table": str, "json": type(ranking).to_json, "csv": type(ranking).to_csv}[output](ranking)
    click.echo(text.rstrip("\n"))
    if plot is not None:
        from matplotlib.figure import Figure

        from nrjax.display import figure_size

        figure = Figure(figsize=figure_size(ranking), layout="constrained")
        ranking.plot(figure.subplots())
        figure.savefig(plot, dpi=150)
        news += f" Drew {plot}."
    if report is not None:
        from nrjax.report import write_report

        write_report(ranking, report, features, labels, command=shlex.join(["nrjax", *sys.argv[1:]]))
        news += f" Wrote {report}."
    click.echo(news, err=True)
    if ranking.failed:
        click.echo(f"{len(ranking.failed)} of {len(ranking.models)} models failed.", err=True)
        sys.exit(1)


def _print_rows(rows: list[dict[str, Any]], output: str) -> None:
    from nrjax._tables import as_csv, as_table

    text = {"table": as_table, "csv": as_csv, "json": lambda rows: json.dumps(rows, indent=2)}[output](rows)
    click.echo(text.rstrip("\n"))
