"""The accelerator's tables are what was measured, and a figure that fails costs no other."""

import json
from pathlib import Path

import jax.numpy as jnp
import pytest

from benchmarks import accelerator
from benchmarks.accelerator import document
from benchmarks.accelerator.__main__ import PARTS, arguments
from benchmarks.accelerator.clock import clock

RESULTS = sorted((Path(accelerator.__file__).parent / "results").glob("*.json"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_tables_are_of_their_figures(path, tmp_path):
    doc = json.loads(path.read_text(encoding="utf-8"))
    document.write(doc, tmp_path / "again.md")
    assert (tmp_path / "again.md").read_text(encoding="utf-8") == path.with_suffix(".md").read_text(encoding="utf-8")
    assert set(doc) <= set(PARTS) == set(document.TABLES)
    assert all(part["command"].startswith("python -m benchmarks.accelerator") for part in doc.values())


def test_a_clock_waits_and_says_what_failed():
    found = clock(lambda x: x + 1, jnp.ones(3), rounds=2)
    assert set(found) == {"first_s", "median_s", "spread_s"}
    assert found["median_s"] > 0

    def fails(x):
        raise ValueError("first line\nsecond")

    assert clock(fails, 1) == {"error": "ValueError: first line"}


def test_parts_run_in_the_order_that_matters_most():
    assert arguments([]).parts[:2] == ["machine", "solvers"]
    with pytest.raises(SystemExit):
        arguments(["--parts", "nothing"])
