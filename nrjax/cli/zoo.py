"""`nrjax zoo` and `nrjax layers`: what there is to rank."""

import sys
from pathlib import Path

import click

from nrjax.cli.main import main
from nrjax.cli.options import FOLDER, FORMAT, debug_option
from nrjax.cli.output import print_rows


@main.command()
@click.argument("zoo", type=FOLDER, required=False)
@click.option("--format", "output", type=FORMAT, default="table", show_default=True)
@debug_option
def zoo(zoo: Path | None, output: str) -> None:
    """List the models of ZOO (default: the bundled one)."""
    from nrjax import demo
    from nrjax.models import ZooError, load_zoo

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
    print_rows(rows, output)
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
    print_rows(rows, output)
