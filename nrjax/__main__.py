"""`python -m nrjax`."""

from nrjax.cli import main

main(prog_name="nrjax")
