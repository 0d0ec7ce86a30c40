"""`nrjax rank` and `nrjax rank-features`."""

import time
from pathlib import Path

import click

from nrjax.cli.head import request_of
from nrjax.cli.main import main
from nrjax.cli.options import (
    FOLDER,
    MODEL_FAILED,
    data_options,
    forward_options,
    manual,
    scoring_options,
    where_option,
)
from nrjax.cli.output import check_outputs, features_of, finish
from nrjax.cli.target import load_models, load_target, warnings_said, without_labels

LABELS = click.Path(exists=True, dir_okay=False, path_type=Path)


@main.command(
    epilog=manual(
        "nrjax rank",
        "nrjax rank zoo/ --data photos/ --confidence",
        "nrjax rank timm:resnet18 timm:vit_tiny_patch16_224 --data photos/ --download",
        "nrjax rank hf:minilm/ hf:bert/ --data news.csv --label topic --layer mean",
        "nrjax rank --data fashion_mnist --classes 0-4 --report page.html",
        "nrjax rank zoo/ --data photos/ --format json > ranking.json",
        failure=MODEL_FAILED,
    )
)
@click.argument("models", nargs=-1)
@data_options
@where_option
@forward_options
@scoring_options("silhouette,probe")
def rank(
    models, data, target, where, n_clusters, device, builder, download, layer, layers, output, report, plot, **options
) -> None:
    """Rank MODELS on labelled data, best first.

    MODELS are zoos, lists of candidates (.toml, .json), and names: timm:resnet18, hf:DIRECTORY, onnx:FILE, keras:FILE,
    torch:FILE, or patterns of them. Without any the bundled zoo is ranked, without --data on 1,000 bundled
    Fashion-MNIST images. Images and texts go through each model's own preprocessing.
    """
    import nrjax
    from nrjax import demo

    start = time.perf_counter()
    check_outputs(plot, report)
    candidates = load_models(models, str(demo.ZOO), where, device=device, builder=builder, download=download)
    loaded = load_target(data or demo.IMAGES, **target)
    with warnings_said():
        samples = without_labels(loaded, n_clusters, options)
        ranking = nrjax.rank(candidates, samples, layer=layer, layers=layers, **options)
    ranking = ranking.with_settings(
        request=request_of(
            models, data, target if n_clusters is None else None, where=where, layer=layer, pooling=options["pooling"]
        )
    )
    what = f"{', '.join(models) or 'the bundled zoo'} on {data or 'the bundled Fashion-MNIST images'}"
    took = time.perf_counter() - start
    features = features_of(ranking, candidates, loaded.samples, layer, options["pooling"])
    news = f"Ranked {what} in {took:.1f} s."
    finish(ranking, output, plot, report, features, loaded.labels, news, loaded.groups)


@main.command(
    "rank-features",
    epilog=manual(
        "nrjax rank-features features/ --labels labels.npy",
        "nrjax rank-features features/ --labels labels.txt --scores probe --format csv",
        "nrjax rank-features features/ --labels y.npy --probabilities p/ --scores leep",
        "nrjax rank-features features/ --labels prices.txt --task regression",
        "nrjax rank-features features/ --labels labels.txt --groups patients.txt",
        failure=MODEL_FAILED,
    ),
)
@click.argument("directory", type=FOLDER)
@click.option(
    "--labels",
    "labels_path",
    required=True,
    type=LABELS,
    help="One label per sample: .npy, .npz or .safetensors (key labels), or text, a label per line.",
)
@click.option(
    "--probabilities", type=FOLDER, metavar="DIR",
    help="Files as in DIRECTORY with the probabilities of each model's own classes, for leep and nce.",
)  # fmt: skip
@click.option(
    "--groups", "groups_path", type=LABELS, metavar="FILE",
    help="Group of each sample, such as a patient; a file as for --labels (key groups). Whole groups are left out.",
)  # fmt: skip
@click.option(
    "--task", type=click.Choice(["classification", "regression", "multilabel"]),
    help="Kind of target.  [default: found from the labels]",
)  # fmt: skip
@scoring_options("silhouette")
def rank_features(
    directory: Path, labels_path: Path, groups_path: Path | None, probabilities, output, report, plot, **options
) -> None:
    """Rank features that were extracted elsewhere.

    DIRECTORY holds one file per model, .npy, .npz or .safetensors, each [samples, dims].
    """
    import nrjax
    from nrjax.datasets import FeatureFiles, read_labels

    start = time.perf_counter()
    check_outputs(plot, report)
    beside = [path for path in (labels_path, groups_path) if path is not None]
    features = FeatureFiles(directory, skip=beside)
    labels = read_labels(labels_path)
    groups = None if groups_path is None else read_labels(groups_path, "groups")
    probabilities = FeatureFiles(probabilities, skip=beside) if probabilities else None
    with warnings_said():
        ranking = nrjax.rank_batch(features, labels, groups=groups, probabilities=probabilities, **options)
    news = f"Ranked {directory} in {time.perf_counter() - start:.1f} s."
    finish(ranking, output, plot, report, features.__getitem__, labels, news, groups)
