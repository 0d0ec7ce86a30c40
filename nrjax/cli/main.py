"""The command `nrjax` itself; what it can do is in the files beside this one."""

import os

import click

from nrjax._version import __version__
from nrjax.cli.options import OneLineErrors


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nrjax")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--compilation-cache",
    envvar="NRJAX_COMPILATION_CACHE",
    show_envvar=True,
    metavar="DIR",
    help="Keep compiled programs in DIR, not in the user's cache folder; 'off' keeps none.",
)
def main(debug: bool, compilation_cache: str | None) -> None:
    """Which pre-trained model should I start from, for my data?

    neuralRank scores how well a layer of each model separates the classes of your labelled data, without
    training anything: principal components of the layer's outputs, then their mean silhouette.
    """
    if compilation_cache != "off" and (compilation_cache or "JAX_COMPILATION_CACHE_DIR" not in os.environ):
        from nrjax._utils.compilation import cache_compilations

        cache_compilations(compilation_cache)
