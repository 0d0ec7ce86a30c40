"""`nrjax rank` and `nrjax rank-features`."""

import time
from pathlib import Path
from typing import Any

import click

from nrjax.cli.main import main
from nrjax.cli.options import FOLDER, Classes, Layer, LayerList, scoring_options
from nrjax.cli.output import finish


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

    finish(ranking, output, plot, report, features, target.labels, f"Ranked {shown} in {took:.1f} s.")


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
    from nrjax.datasets import FeatureFiles, read_labels

    start = time.perf_counter()
    features = FeatureFiles(directory, skip=labels_path)
    labels = read_labels(labels_path)
    theta = FeatureFiles(probabilities, skip=labels_path) if probabilities else None
    ranking = nrjax.rank_batch(features, labels, probabilities=theta, **options)
    took = time.perf_counter() - start
    finish(ranking, output, plot, report, features.__getitem__, labels, f"Ranked {directory} in {took:.1f} s.")
