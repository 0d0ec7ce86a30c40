"""`nrjax zoo` and `nrjax layers`: what there is to rank."""

import sys
from pathlib import Path

import click

from nrjax.cli.main import main
from nrjax.cli.options import FORMAT, debug_option, manual, where_option
from nrjax.cli.output import print_rows
from nrjax.cli.target import load_models, warnings_said
from nrjax.cli.types import Size


@main.command(
    short_help="List models, with their sizes and licences.",
    epilog=manual(
        "nrjax zoo",
        'nrjax zoo candidates.toml --where "parameters < 30e6" --format csv',
        "nrjax zoo 'timm:convnext*' --where \"license == 'apache-2.0'\"",
        'nrjax zoo --search image-classification --where "parameters < 50e6" --out candidates.toml',
        failure="a model cannot be read, or the input is wrong; stderr says what",
    ),
)
@click.argument("models", nargs=-1)
@where_option
@click.option("--search", "task", metavar="TASK", help="Ask the hub for models of a task, instead of MODELS.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Models that --search lists.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.toml",
    help="Write what --search lists into a list of candidates.",
)
@click.option("--format", "output", type=FORMAT, default="table", show_default=True)
@debug_option
def zoo(
    models: tuple[str, ...], where: str | None, task: str | None, limit: int, out: Path | None, output: str
) -> None:
    """List MODELS (default: the bundled zoo): zoos, lists (.toml, .json), names and patterns such as timm:resnet*."""
    if task is None and out is None:
        return _list(models, where, output)
    if task is None or models:
        raise click.UsageError("--search TASK lists models of the hub, and --out writes them; leave MODELS out.")
    from nrjax.models import search_hub, write_list

    found = search_hub(task, where, limit)
    if out is not None:
        write_list(out, found)
    print_rows([{"model": known["name"], **{k: v for k, v in known.items() if k != "name"}} for known in found], output)
    size = sum(known["bytes"] for known in found) / 1e9
    said = f"{len(found)} models, {size:,.1f} GB of weights. Nothing was downloaded"
    click.echo(f"{said}; nrjax rank {out} --download does." if out else f"{said}.", err=True)


def _list(models: tuple[str, ...], where: str | None, output: str) -> None:
    from nrjax import demo

    found, rows, failed = load_models(models, str(demo.ZOO), where), [], False
    if found.when_run:
        words = f"{found.when_run}: ms is known when models run; nrjax rank and sweep take this condition."
        raise click.BadParameter(words, param_hint="--where")
    for name in found:
        try:
            known = found.known(name, look=True)
            tags = {key: value for key, value in known.items() if isinstance(value, (str, int, float)) and value != ""}
            rows.append({"model": tags.pop("name"), **tags})
        except ValueError as error:
            failed = True
            rows.append({"model": name, "problem": str(error)})
    print_rows(rows, output)
    sys.exit(1 if failed else 0)


@main.command(epilog=manual("nrjax layers timm:resnet18", "nrjax layers zoo/ F10 --format csv"))
@click.argument("model")
@click.argument("name", required=False)
@click.option("--image-size", type=Size(), metavar="HxW", help="Size of images, if the file does not contain it.")
@click.option("--builder", metavar="MODULE:FUNCTION", help="Function that builds a network of torch:FILE.safetensors.")
@click.option("--download", is_flag=True, help="Download missing weights from the hub.")
@click.option("--format", "output", type=FORMAT, default="table", show_default=True)
@debug_option
def layers(
    model: str, name: str | None, image_size: tuple[int, int] | None, builder: str | None, download: bool, output: str
) -> None:
    """List the layers of a model, in order of execution.

    MODEL is a name such as timm:resnet18, hf:DIRECTORY, onnx:FILE, torch:FILE or keras:FILE; or a zoo or list, and
    NAME one of its models.
    """
    import nrjax

    candidates = load_models((model,), "", None, image_size=image_size, builder=builder, download=download)
    if name is None and len(candidates) > 1:
        raise ValueError(f"{model} has {len(candidates)} models; name one of them: {', '.join(list(candidates)[:20])}.")
    if name is not None and name not in candidates:
        raise ValueError(f"no model {name!r} in {model}; it has {', '.join(list(candidates)[:20])}.")
    with warnings_said():
        listed = nrjax.layers(candidates[name or next(iter(candidates))])
    rows = [
        {"index": i, "layer": layer.name, "shape": "x".join(map(str, layer.shape)), "dims": layer.dims}
        for i, layer in enumerate(listed)
    ]
    print_rows(rows, output)
