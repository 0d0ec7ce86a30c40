"""`nrjax head`: a head on a model of a ranking that was written down."""

import json
from pathlib import Path
from typing import Any

import click

from nrjax._utils.paths import check_regular
from nrjax.cli.main import main
from nrjax.cli.options import debug_option, manual
from nrjax.cli.target import load_models, load_target, warnings_said
from nrjax.cli.types import as_layer

MOST_BYTES = 1 << 28  # of a ranking


def request_of(
    models: tuple[str, ...], data: str | None, target: dict[str, Any] | None, **options: Any
) -> dict[str, Any]:
    """What a command was asked for, as a ranking's settings remember it for `nrjax head`."""
    if target is not None:  # as JSON has it
        target = {name: str(value) if isinstance(value, Path) else value for name, value in target.items()}
    return {"models": list(models), "data": data, "target": target, **options}


@main.command(
    short_help="Fit a linear head on a ranked model.",
    epilog=manual(
        "nrjax head ranking.json F10 --out head/",
        failure="the head cannot be fitted; stderr says why",
    ),
)
@click.argument("ranking", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("name", required=False)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write.")
@click.option("--device", metavar="NAME", help="Where the network runs, such as cpu or cuda:1.")
@click.option("--builder", metavar="MODULE:FUNCTION", help="Function that builds a network of torch:FILE.safetensors.")
@click.option("--download", is_flag=True, help="Download missing weights from the hub.")
@debug_option
def head(ranking: Path, name: str | None, out: Path, device: str | None, builder: str | None, download: bool) -> None:
    """Fit a linear head on the model NAME of RANKING (default: the first), and write it to a folder.

    RANKING is what `nrjax rank` or `nrjax sweep` printed with --format json. Models and data are read again, so the
    command belongs into the same folder. `nrjax.load_head` reads what is written.
    """
    import nrjax
    from nrjax import demo

    ranked, request = _read(ranking)
    if name is not None and name not in {model.name for model in ranked}:
        raise ValueError(f"{ranking} has no model {name!r}; it has {', '.join(ranked.order[:20])}.")
    model = ranked[name or ranked.best]
    if model.rank is None:
        raise ValueError(f"{model.name} failed, so it has no head: {model.reason}")
    candidates = load_models(
        tuple(request["models"]), str(demo.ZOO), request["where"], device=device, builder=builder, download=download
    )
    options = {option: tuple(v) if isinstance(v, list) else v for option, v in request["target"].items()}
    loaded = load_target(request["data"] or demo.IMAGES, **options)
    layer = as_layer(request["layer"] if model.layer is None else model.layer)
    with warnings_said():
        fitted = nrjax.fit_head(
            candidates[model.name],
            loaded.samples,
            loaded.labels,
            task=loaded.task,
            groups=loaded.groups,
            layer=layer,
            pooling=request.get("pooling"),
        )
    fitted.save(out)
    meaning = {"classification": "accuracy", "regression": "R²", "multilabel": "mean average precision"}[fitted.task]
    click.echo(f"Wrote {out}: {model.name}, {meaning} {fitted.score:.4f} on samples that were left out.", err=True)


def _read(path: Path) -> tuple[Any, dict[str, Any]]:
    """The ranking, and what its command was asked for."""
    import nrjax

    if check_regular(path).stat().st_size > MOST_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes; a ranking has at most {MOST_BYTES:,}.")
    try:
        ranked = nrjax.Ranking.from_dict(json.loads(path.read_text(encoding="utf-8")))
        request = ranked.settings.get("request")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no ranking that --format json wrote: {type(error).__name__} {error}.") from error
    if not isinstance(request, dict) or not {"models", "data", "target", "where", "layer"} <= request.keys():
        raise ValueError(
            f"{path} does not name its models and data; only rankings of `nrjax rank` and `nrjax sweep` do. "
            "In Python, nrjax.fit_head(model, samples, labels) fits a head."
        )
    if request["target"] is None:
        raise ValueError("a head needs labels; this ranking was made without.")
    return ranked, request
