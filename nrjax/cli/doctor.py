"""`nrjax doctor` and `nrjax completion`: what is here, what is missing, and how to get it."""

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import jax

from nrjax.cli.main import main
from nrjax.cli.options import FORMAT, debug_option, manual
from nrjax.cli.output import print_rows

BASE = ("jax", "jaxlib", "flax", "numpy", "scipy", "orbax-checkpoint", "safetensors", "pillow")


@main.command(
    short_help="Show what is installed, and what is missing.",
    epilog=manual(
        "nrjax doctor",
        "nrjax doctor --format json > doctor.json",
        failure="an installed package does not work; a missing extra is no error",
    ),
)
@click.option("--format", "output", type=FORMAT, default="table", show_default=True)
@debug_option
def doctor(output: str) -> None:
    """Show what is installed, the devices, what is missing, and how to install it."""
    rows = [*_machine(), *_base(), *_extras(), *_plugins(), *_folders()]
    print_rows(rows, output)
    sys.exit(1 if any(row["state"].startswith("does not") for row in rows) else 0)


def _row(what: str, state: str, remark: str = "") -> dict[str, str]:
    return {"what": what, "state": state, "remark": remark}


def _machine() -> Iterator[dict[str, str]]:
    from nrjax import __version__

    yield _row("nrjax", __version__)
    yield _row("Python", platform.python_version(), platform.platform())
    try:
        import jax

        devices = jax.devices()
    except Exception as error:  # a driver that does not fit, a plugin that is broken
        yield _row("devices", "does not start", f"{type(error).__name__}: {error}")
        return
    kinds = ", ".join(f"{[d.device_kind for d in devices].count(kind)} x {kind}" for kind in
                      dict.fromkeys(device.device_kind for device in devices))  # fmt: skip
    yield _row("devices", jax.default_backend(), kinds)
    memory = (devices[0].memory_stats() or {}).get("bytes_limit")
    if memory:
        yield _row("memory of a device", f"{memory / 2**30:.1f} GiB")


def _base() -> Iterator[dict[str, str]]:
    for name in BASE:
        try:
            yield _row(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield _row(name, "not installed", "pip install nrjax")


def _extras() -> Iterator[dict[str, str]]:
    from nrjax.models import EXTRAS, MissingFramework, framework

    for name, extra in EXTRAS.items():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield _row(name, "not installed", f"pip install 'nrjax[{extra}]'")
            continue
        try:
            framework(name, "nrjax")
            yield _row(name, version)
        except MissingFramework as error:
            yield _row(name, "does not import", f"{version}; {error}")


def _plugins() -> Iterator[dict[str, str]]:
    from nrjax._utils.plugins import GROUPS, load_plugin, package_of_plugin, plugins

    for group in GROUPS:
        for name, point in plugins(group).items():
            try:
                load_plugin(group, name)
                yield _row(f"{name} ({group})", package_of_plugin(point))
            except ValueError as error:
                yield _row(f"{name} ({group})", "does not import", str(error))


def _folders() -> Iterator[dict[str, str]]:
    """Where data, weights and compiled programs are kept."""
    from nrjax.datasets import data_folder, is_prepared

    data = data_folder()
    prepared = sorted(path.name for path in data.glob("*") if is_prepared(path.name))
    yield _row("data sets of TFDS", f"{len(prepared)} prepared", f"{data}: {', '.join(prepared) or 'none'}")
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", "~/.cache/huggingface")) / "hub")
    hub = hub.expanduser()
    models = sorted(path.name.removeprefix("models--").replace("--", "/") for path in hub.glob("models--*"))
    yield _row("weights of the hub", f"{len(models)} models", f"{hub}: {', '.join(models[:10]) or 'none'}")
    cache = jax.config.jax_compilation_cache_dir  # pyright: ignore
    yield _row("compiled programs", "kept" if cache else "not kept",
               cache or "NRJAX_COMPILATION_CACHE=off; without it they are kept for a faster start")  # fmt: skip


@main.command(
    epilog=manual(
        "nrjax completion bash > ~/.local/share/bash-completion/completions/nrjax",
        'nrjax completion zsh > "${fpath[1]}/_nrjax"',
        "nrjax completion fish > ~/.config/fish/completions/nrjax.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL."""
    from click.shell_completion import get_completion_class

    completion = get_completion_class(shell)
    assert completion is not None  # the choice names those that click has
    click.echo(completion(main, {}, "nrjax", "_NRJAX_COMPLETE").source())
