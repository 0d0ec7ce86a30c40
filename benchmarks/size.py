"""What an installation weighs, and how much of it goes with each dependency.

python -m benchmarks.size [PACKAGE]

Of the environment that it runs in: `python -m venv fresh && fresh/bin/pip install .`, then `fresh/bin/python -m ...`.
"""

import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def direct(name: str) -> set[str]:
    """Installed distributions that this one requires here, extras apart."""
    needs = [Requirement(line) for line in metadata.requires(name) or []]
    here = {canonicalize_name(need.name) for need in needs if not need.marker or need.marker.evaluate({"extra": ""})}
    return {name for name in here if any(metadata.distributions(name=name))}


def closure(names: set[str]) -> set[str]:
    """These, and all that they require."""
    reached: set[str] = set()
    while names - reached:
        one = (names - reached).pop()
        reached.add(one)
        names = names | direct(one)
    return reached


def weight(names: set[str]) -> float:
    """Bytes of their files, without what Python compiles."""
    files = [file for name in names for file in metadata.files(name) or [] if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in (Path(str(file.locate())) for file in files) if path.is_file())


def main(package: str = "nrjax") -> None:
    """Prints the table."""
    everything, required = closure({package}), direct(package)
    rows = []
    for name in required:
        gone = everything - closure(required - {name}) - {package}
        rows.append((weight(gone), weight({name}), name, sorted(gone - {name}, key=lambda one: -weight({one}))))
    print("| dependency | MB | without it there would be less, MB | and without |\n|---|---|---|---|")
    for gone, own, name, others in sorted(rows, reverse=True):
        print(f"| {name} | {own / 1e6:,.1f} | {gone / 1e6:,.1f} | {', '.join(others)} |")
    rest = everything - required - {package}
    print(f"| {len(rest)} that these require | {weight(rest) / 1e6:,.1f} | | |")
    print(f"| {package} | {weight({package}) / 1e6:,.1f} | | |")
    print(f"| **all {len(everything)}** | **{weight(everything) / 1e6:,.1f}** | | |")


if __name__ == "__main__":
    main(*sys.argv[1:])
