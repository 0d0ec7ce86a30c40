"""What an installation weighs, and how much of it goes with each dependency.

python -m benchmarks.size [PACKAGE]

Of the environment that it runs in: `python -m venv fresh && fresh/bin/pip install . && fresh/bin/python -m benchmarks.size`.
"""

import sys
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LEAST = 1e6  # bytes; lighter ones are one line


def needed_by(name: str, without: str = "") -> set[str]:
    """Installed distributions that are reached from this one, itself among them, by no path over `without`."""
    reached: set[str] = set()
    waiting = [canonicalize_name(name)]
    while waiting:
        one = waiting.pop()
        if one in reached or one == without:
            continue
        try:
            lines = metadata.requires(one) or []
        except metadata.PackageNotFoundError:  # of another platform
            continue
        reached.add(one)
        needs = [Requirement(line) for line in lines]
        waiting += [
            canonicalize_name(need.name) for need in needs if not need.marker or need.marker.evaluate({"extra": ""})
        ]
    return reached


def weight(names: set[str]) -> float:
    """Bytes of their files."""
    files = [file for name in names for file in metadata.files(name) or [] if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in map(lambda file: file.locate(), files) if path.is_file())


def main(package: str = "nrjax") -> None:
    """Prints the table."""
    everything = needed_by(package)
    requirements = {canonicalize_name(Requirement(line).name) for line in metadata.requires(package) or []}
    alone = {name: everything - needed_by(package, without=name) for name in requirements & everything}
    print("| dependency | MB of its own | MB that would go with it | which are also |\n|---|---|---|---|")
    rows = sorted(((weight(gone), weight({name}), name, gone) for name, gone in alone.items()), reverse=True)
    for gone, own, name, which in rows:
        if gone >= LEAST:
            others = ", ".join(sorted((which - {name}), key=lambda one: -weight({one}))[:4])
            print(f"| {name} | {own / 1e6:,.0f} | {gone / 1e6:,.0f} | {others} |")
    shared = everything - {package} - set().union(*alone.values())
    print(f"| shared by several | {weight(shared) / 1e6:,.0f} | | {', '.join(sorted(shared)[:8])} |")
    print(f"| **all {len(everything)}** | **{weight(everything) / 1e6:,.0f}** | | |")


if __name__ == "__main__":
    main(*sys.argv[1:])
