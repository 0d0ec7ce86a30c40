"""What the benchmarks' commands share: one line for what is wrong, and what results say they were made with."""

import argparse
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jax

ELSEWHERE = ("out", "cache", "wider", "data_dir", "resume", "beside", "wheel", "folder")


def answer(work: Callable[[], None]) -> int:
    """Exit code of a command: 0, or 1 with one line on stderr."""
    try:
        work()
    except (ValueError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def parser(module: str, doc: str | None) -> argparse.ArgumentParser:
    """Of `python -m module`, whose help is what the module says of itself."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def main_of(
    arguments: Callable[[list[str] | None], argparse.Namespace], run: Callable[[argparse.Namespace], None]
) -> Callable[..., int]:
    """A command of its arguments and of what it does with them: 0, or 1 with one line on stderr."""

    def main(argv: list[str] | None = None) -> int:
        options = arguments(argv)
        return answer(lambda: run(options))

    return main


def invocation(module: str, options: argparse.Namespace, defaults: argparse.Namespace) -> str:
    """The command line that asks for `options`; where things lie on this machine, and resuming, are left out."""
    words = [f"python -m {module}"]
    for name, value in vars(options).items():
        if name in ELSEWHERE or value == getattr(defaults, name):
            continue
        words.append(f"--{name.replace('_', '-')}")
        words += [] if value is True else map(str, value if isinstance(value, list) else [value])
    return " ".join(words)


def commit() -> str:
    """The commit, with `+` where the working tree has changes."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain") else "")


def device() -> str:
    """What JAX computes on."""
    return f"{jax.devices()[0].device_kind} ({jax.default_backend()}), {platform.machine()}"
