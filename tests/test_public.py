"""What users may rely on: a change of it has to be meant, and is written down in `public.txt`.

`python -m tests.test_public` writes the file anew; what disappears from it in a minor version needs a
DeprecationWarning for one version before (docs/promises.md).
"""

import inspect
import re
import sys
from pathlib import Path

import click

import nrjax
from nrjax import errors, kernels
from nrjax.cli import main

FILE = Path(__file__).parent / "public.txt"


def described(where, name):
    """A function with its arguments, a class with those of its own public methods."""
    thing = getattr(where, name)
    full = f"{where.__name__}.{name}"
    if inspect.isclass(thing):
        yield full
        for member, value in sorted(vars(thing).items()):
            if not member.startswith("_"):
                if callable(value) or isinstance(value, (classmethod, staticmethod)):
                    yield f"{full}.{member}({arguments(getattr(thing, member))})"
                else:
                    yield f"{full}.{member}"
        for field in getattr(thing, "__dataclass_fields__", getattr(thing, "_fields", ())):
            yield f"{full}.{field}"
    elif callable(thing):
        yield f"{full}({arguments(thing)})"
    else:
        yield full


def arguments(function):
    """Names, and which of them may be left out; defaults are documented, and may get better."""
    told = []
    for parameter in inspect.signature(function).parameters.values():
        star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        by_name = "=" if parameter.default is not parameter.empty else ""
        told.append(f"{star}{parameter.name}{by_name}")
    return ", ".join(told)


def commands():
    for name, command in sorted(main.commands.items()):
        words = [word for p in command.params for word in (*p.opts, *p.secondary_opts)]
        yield f"$ nrjax {name} {' '.join(sorted(words))}"


def public():
    lines = {line for where in (nrjax, errors, kernels) for name in where.__all__ for line in described(where, name)}
    return [*sorted(lines), *commands()]


def test_nothing_public_changes_by_accident():
    assert isinstance(main, click.Group)
    assert public() == FILE.read_text(encoding="utf-8").splitlines()


def test_the_page_of_kernels_has_each_kernel_once():
    page = (FILE.parents[1] / "docs" / "reference" / "kernels.md").read_text(encoding="utf-8")
    headings = re.findall(r"^      heading: nrjax\.kernels\.(\w+)$", page, re.M)
    identifiers = re.findall(r"^::: (nrjax\.kernels\.\w+)\.(\w+)$", page, re.M)
    assert [name for _, name in identifiers] == headings
    for module, name in identifiers:  # of the module: `nrjax.kernels.score` is a module and a function
        assert getattr(sys.modules[module], name) is getattr(kernels, name)
    types = {"Definition", "Distance", "Method", "Solver"}
    assert sorted(headings) == [name for name in kernels.__all__ if name not in types]


def test_the_page_of_commands_has_each_command():
    page = (FILE.parents[1] / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^## nrjax (\S+)$", page, re.M)) == sorted(main.commands)


if __name__ == "__main__":
    FILE.write_text("\n".join(public()) + "\n", encoding="utf-8")
