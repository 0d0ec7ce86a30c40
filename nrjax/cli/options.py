"""Options that several commands share, and how errors end them."""

import functools
from pathlib import Path
from typing import Any, get_args

import click

from nrjax._utils.messages import printable, shortened
from nrjax.cli.types import Classes, Clusters, Layer, LayerList, Scores, Size
from nrjax.kernels import Definition, Distance
from nrjax.kernels.error_bounds import LARGEST_TOLERANCE, SMALLEST_TOLERANCE, TOLERANCE

FORMAT = click.Choice(["table", "json", "csv"])
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


class OneLineErrors(click.Group):
    """What is wrong with the input is one line on stderr, exit code 1; `--debug` shows where it was raised."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except (ValueError, TypeError, KeyError, OSError) as error:
            if ctx.params["debug"] or ctx.meta.get("debug"):
                raise
            message = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
            raise click.ClickException(shortened(printable(" ".join(message.split())), 2000)) from error
        except MemoryError as error:
            raise click.ClickException("out of memory; use fewer samples (--max-samples) or models.") from error


MODEL_FAILED = "a model failed, or the input is wrong; stderr says which and why"


def manual(*examples: str, failure: str = "", stopped: bool = False) -> str:
    """What `--help` ends with: examples, and what the exit code says; `failure` is what 1 means."""
    codes = ["0  done", f"1  {failure or 'the input is wrong; stderr says what'}", "2  the command was misused"]
    codes += ["130  stopped; what was finished is kept"] if stopped else []
    parts = {"Examples": examples, "Exit code": codes}
    return "\n\n".join("\b\n" + "\n  ".join([f"{title}:", *lines]) for title, lines in parts.items())


def _set_debug(ctx: click.Context, _, value: bool) -> None:
    if value:
        ctx.meta["debug"] = True


debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_set_debug, help="Show the traceback of an error."
)  # fmt: skip


where_option = click.option(
    "--where", metavar="EXPRESSION",
    help="Rank only models that meet this condition, such as \"parameters < 10e6 and license == 'apache-2.0'\". With "
    "ms, milliseconds a sample on this machine, slower models are left out while they run: \"ms < 20\".",
)  # fmt: skip


def forward_options(command):
    """Options that say what is taken from each model, and how."""
    for option in reversed((
        click.option("--layer", type=Layer(), default="penultimate", show_default=True,
                     help="Name or index (0 the input, -1 the last). penultimate: the input of the head. "
                     "last or mean: of the repeated blocks. best: the layer with the best score."),
        click.option("--layers", type=LayerList(), metavar="NAMES",
                     help="Several layers, such as 0,2,penultimate, or all. Models are ranked by their best layer."),
        click.option("--batch-size", type=click.IntRange(min=1), help="Samples at once.  [default: chosen]"),
        click.option("--precision", type=click.Choice(["float32", "tensorfloat32", "bfloat16"]), default="float32",
                     show_default=True, help="Of the forward pass."),
        click.option("--pooling", metavar="NAME", help="How a layer becomes a vector. Maps: flatten, mean or max. "
                     "Tokens: mean, max, cls or last.  [default: flatten; the model's own]"),
        click.option("--device", metavar="NAME", help="cpu, cuda:1, mps, tpu.  [default: the fastest]"),
        click.option("--builder", metavar="MODULE:FUNCTION",
                     help="Function that builds the network of torch:FILE.safetensors."),
        click.option("--download", is_flag=True, help="Download missing weights from the hub."),
    )):  # fmt: skip
        command = option(command)
    return command


def scoring_options(default_scores: str):
    """Options of every command that ranks; the help names the scores that are computed without `--scores`."""
    options = (
        click.option("--components", "n_components", type=click.IntRange(min=1), default=10, show_default=True,
                     help="Principal components kept."),
        click.option("--distance", type=click.Choice(get_args(Distance)), default="cosine", show_default=True),
        click.option("--definition", type=click.Choice(get_args(Definition)), default="rousseeuw", show_default=True,
                     help="Silhouette: mean distance to the nearest other class, or distance to its centroid."),
        click.option("--tolerance", type=click.FloatRange(SMALLEST_TOLERANCE, LARGEST_TOLERANCE), default=TOLERANCE,
                     show_default=True, help="Largest error of a silhouette; coarser is faster."),
        click.option("--scores", type=Scores(), metavar="NAMES",
                     help="Scores to compute, such as silhouette,probe; --scores help lists them.  "
                     f"[default: {default_scores}]"),
        click.option("--by", metavar="NAME", help="The score to order by.  [default: the first of --scores]"),
        click.option("--confidence", is_flag=True,
                     help="Compute how sure the order is: intervals, the probability that each model comes first by "
                     "this score, and models that the samples cannot tell apart."),
        click.option("--format", "output", type=FORMAT, default="table", show_default=True),
        click.option("--report", type=click.Path(dir_okay=False, writable=True, path_type=Path), metavar="FILE",
                     help="Also write a report about the ranking to FILE (.html)."),
        click.option("--plot", type=click.Path(dir_okay=False, writable=True, path_type=Path), metavar="FILE",
                     help="Also draw the scores to FILE (.png, .pdf, .svg)."),
        debug_option,
    )  # fmt: skip
    return lambda command: functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), command)


def data_options(command):
    """Options that say which labelled data; all but `data` arrive together, as `target`."""

    @functools.wraps(command)
    def gathered(*args, **options):
        names = (
            "text", "image", "label", "groups", "tokens", "audio", "mask", "task",
            "split", "classes", "image_size", "grayscale", "max_samples", "seed", "data_dir",
            "skip_broken",
        )  # fmt: skip
        return command(*args, target={name: options.pop(name) for name in names}, **options)

    for option in reversed((
        click.option("--data", metavar="NAME",
                     help="TFDS name, directory of images or recordings per class, .npz, or a table (.csv, .tsv, "
                     ".parquet, .json, .jsonl).  [default: bundled images]"),
        click.option("--text", metavar="COLUMN",
                     help="Column of texts. Two columns, joined by a comma, are pairs of texts; three or more become "
                     "one text.  [default: text, sentence, content]"),
        click.option("--image", metavar="COLUMN", help="Column of paths of images.  [default: image, path, file]"),
        click.option("--label", metavar="COLUMN",
                     help="Column of labels. Several columns, joined by commas, are several numbers, or several labels "
                     "if they have 0 and 1.  [default: label, target, class, category]"),
        click.option("--groups", metavar="COLUMN",
                     help="Column of groups, such as patients; probe and knn leave out whole groups."),
        click.option("--tokens", metavar="COLUMN", help="Column of lists of words; their labels are lists of tags."),
        click.option("--audio", metavar="COLUMN", help="Column of paths of recordings.  [default: audio, path, file]"),
        click.option("--mask", metavar="COLUMN", help="Column of masks of the images, with --task positions."),
        click.option("--task", type=click.Choice(["classification", "regression", "multilabel", "positions"]),
                     help="Kind of target.  [default: found from the labels]"),
        click.option("--split", default="test", show_default=True, help="Split of the dataset, such as train+test."),
        click.option("--classes", type=Classes(), metavar="IDS",
                     help="Classes to use, such as 0-4, 0,3,7-9 or cat,dog.  [default: all]"),
        click.option("--image-size", type=Size(), metavar="HxW",
                     help="Resize images to this first.  [default: the size of each model]"),
        click.option("--grayscale/--colour", default=None, help="One channel, or three.  [default: as each model]"),
        click.option("--max-samples", type=click.IntRange(min=1),
                     help="Draw at most so many samples, in proportion to the classes."),
        click.option("--seed", type=int, default=0, show_default=True, help="Random seed of --max-samples."),
        click.option("--skip-broken", is_flag=True, help="Leave out samples that cannot be read, and name them."),
        click.option("--data-dir", type=FOLDER, help="Where TFDS keeps its datasets."),
        click.option("--n-clusters", type=Clusters(), metavar="K",
                     help="Ignore labels: rank by how well the features form K clusters, or with auto the best number "
                     "of clusters. Far less reliable."),
    )):  # fmt: skip
        gathered = option(gathered)
    return gathered
