"""Every public name has an example that runs, and prints what stands under it.

`python -m tests.test_docstrings` writes what the examples print into the docstrings.
"""

import doctest
import importlib.util
import inspect
import re
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import nrjax
from nrjax.models import _registry
from nrjax.scoring import scores

NAMES = [name for name in nrjax.__all__ if name != "__version__"]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PARSER = doctest.DocTestParser()
CACHE = ("jax_compilation_cache_dir", "jax_compilation_cache_max_size", "jax_persistent_cache_min_compile_time_secs")


def given():
    """What the examples speak of; docs/reference says so at the top of each page."""
    import nrjax.demo  # some name it

    zoo, images, labels = nrjax.load_demo()
    features = {name: nrjax.extract_features(zoo[name], images, "dense") for name in zoo}
    return {"nrjax": nrjax, "np": np, "jax": jax, "zoo": zoo, "images": images, "labels": labels, "features": features}


def needs(code):
    """Modules that an example imports, or that read a folder of a model."""
    named = set(re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE))
    return named | ({"torch", "transformers"} if "vit-tiny" in code else set())


@pytest.fixture(scope="module")
def names():
    return given()


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder of its own; what examples register or configure is forgotten afterwards."""
    kept = {name: getattr(jax.config, name) for name in CACHE}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scores, "_KINDS", dict(scores._KINDS))
    monkeypatch.setattr(_registry, "_factories", dict(_registry._factories))
    yield tmp_path
    for name, value in kept.items():
        jax.config.update(name, value)


@pytest.mark.parametrize("name", NAMES)
def test_example_prints_what_it_says(name, names, desk):
    docstring = getattr(nrjax, name).__doc__
    assert "\n    Examples:\n" in docstring, "the section that mkdocstrings draws as code"
    test = PARSER.get_doctest(docstring, dict(names), name, None, 0)
    assert test.examples
    code = "".join(example.source for example in test.examples)
    for module in needs(code):
        pytest.importorskip(module)
    if "vit-tiny" in code:
        from tests.test_docs import save_vit

        save_vit(desk / "vit-tiny")
    told = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=told.append)
    assert not told, "".join(told)


class Recorder(doctest.DocTestRunner):
    """Keeps what an example prints, which was not expected to print anything."""

    printed = ()

    def report_failure(self, out, test, example, got):
        self.printed = got.splitlines()


def fill(name, names):
    """Writes what an example prints under it."""
    thing = getattr(nrjax, name)
    path, source = Path(inspect.getsourcefile(inspect.unwrap(thing))), thing.__doc__
    examples, names = PARSER.get_examples(source), dict(names)
    if any(importlib.util.find_spec(module) is None for module in needs("".join(each.source for each in examples))):
        return
    lines, shift = source.splitlines(keepends=True), 0
    for example in examples:
        runner = Recorder()
        test = doctest.DocTest([doctest.Example(example.source, "")], names, name, None, 0, None)
        runner.run(test, clear_globs=False)
        names = test.globs
        first, old = example.lineno + shift + example.source.count("\n"), example.want.count("\n")
        lines[first : first + old] = [f"{' ' * example.indent}{line}\n" for line in runner.printed]
        shift += len(runner.printed) - old
    text = path.read_text(encoding="utf-8")
    assert text.count(source) == 1
    path.write_text(text.replace(source, "".join(lines)), encoding="utf-8")


if __name__ == "__main__":
    import os
    import tempfile

    shared = given()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if all(map(importlib.util.find_spec, ("torch", "transformers"))):
            from tests.test_docs import save_vit

            save_vit(Path(folder, "vit-tiny"))
        for one in sys.argv[1:] or NAMES:
            fill(one, shared)
