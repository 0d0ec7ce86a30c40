"""What the benchmarks' commands share: one line for what is wrong, and what results say they were made with."""

import argparse
import json
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

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
    words: list[str] = []
    for name, value in vars(options).items():
        if name in ELSEWHERE or value == getattr(defaults, name):
            continue
        words.append(f"--{name.replace('_', '-')}")
        words += [] if value is True else map(str, value if isinstance(value, list) else [value])
    return f"python -m {module} {shlex.join(words)}".rstrip()


Measure = Callable[[str, dict[str, Any], Callable[[str], None]], Any]  # of a part, all results, and what to report


def measure_parts(
    path: Path, module: str, options: argparse.Namespace, defaults: argparse.Namespace, measure: Measure,
    facts: Callable[[], dict[str, Any]] = dict, **layout: Any,
) -> dict[str, Any]:  # fmt: skip
    """Measures `options.parts` one by one into a JSON file; the other parts stay as they are.

    Args:
      path: of the JSON file; it is written after every part.
      module: of the command.
      options: of the command; `parts` are those to measure.
      defaults: of the command.
      measure: gives the results of a part.
      facts: what else the results say that they were made with.
      layout: of `json.dumps`.

    Returns:
      All results by part, and `made_with`.
    """
    made_at, console = commit(), Console(stderr=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    doc: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for part in options.parts:
        start, alone = time.perf_counter(), argparse.Namespace(**vars(options) | {"parts": [part]})
        doc[part] = measure(part, doc, lambda news, part=part: console.print(f"{part}: {news}", highlight=False))
        doc.setdefault("made_with", {})[part] = {
            "command": invocation(module, alone, defaults), "commit": made_at,
            "seconds": round(time.perf_counter() - start), "device": device(), **facts(),
        }  # fmt: skip
        path.write_text(json.dumps(doc, **layout or {"indent": 1}) + "\n", encoding="utf-8")
    return doc


def commit() -> str:
    """The commit, with `+` where the working tree has changes."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain") else "")


def device() -> str:
    """What JAX computes on."""
    return f"{jax.devices()[0].device_kind} ({jax.default_backend()}), {platform.machine()}"
