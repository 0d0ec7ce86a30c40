"""The accelerator's tables are what was measured, and a figure that fails costs no other."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from benchmarks import accelerator
from benchmarks.accelerator import document
from benchmarks.accelerator.__main__ import PARTS, arguments
from benchmarks.accelerator.clock import clock
from benchmarks.accelerator.mesh import sums as mesh_sums
from benchmarks.accelerator.predicted import H100 as H100_FIGURES
from benchmarks.accelerator.predicted import machines

H100 = json.loads(H100_FIGURES.read_text(encoding="utf-8"))
RESULTS = sorted((Path(accelerator.__file__).parent / "results").glob("*.json"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_tables_are_of_their_figures(path, tmp_path):
    doc = json.loads(path.read_text(encoding="utf-8"))
    again = tmp_path / path.with_suffix(".md").name
    document.write(doc, again)
    assert again.read_text(encoding="utf-8") == path.with_suffix(".md").read_text(encoding="utf-8")
    assert {one.name for one in tmp_path.glob("*.png")} == {one.name for one in path.parent.glob(f"{path.stem}-*.png")}
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


def test_sums_of_a_traced_program():
    def program(x):
        def one(total, row):
            return total + jax.lax.psum(row, "samples"), None

        total = jax.lax.scan(one, jnp.zeros(x.shape[1]), x)[0]
        total = jax.lax.while_loop(lambda y: y[0] < 3, lambda y: y + 1, total)
        return jax.lax.pmax(total, "samples")

    def unknown(x):
        return jax.lax.while_loop(lambda y: y[0, 0] < 3, lambda y: jax.lax.pmax(y + 1, "samples"), x)

    def traced(function):
        mesh = Mesh(np.array(jax.devices()[:1]), ("samples",))
        split = jax.shard_map(function, mesh=mesh, in_specs=P("samples"), out_specs=P(), check_vma=False)
        return jax.jit(split).trace(jnp.ones((5, 7), jnp.float32)).jaxpr

    assert mesh_sums(traced(program)) == (5 + 1, 5 * 7 * 4 + 7 * 4)
    with pytest.raises(ValueError, match="rounds are not known"):
        mesh_sums(traced(unknown))


def test_many_devices_on_paper():
    gpu, tpu = machines()
    row = next(r for r in H100["solvers"]["rows"] if r["models"] == 64 and r["tolerance"] == 1e-6)
    assert gpu.seconds(64, 1, 20, 1e5) == pytest.approx(
        row["median_s"], rel=0.1
    )  # the line goes through what was measured
    for machine in (gpu, tpu):
        assert machine.seconds(64, 8, 20, 1e5) < machine.seconds(64, 4, 20, 1e5) < machine.seconds(64, 1, 20, 1e5)
        assert machine.seconds(64, 8, 20, 1e5) > machine.seconds(64, 8, 5, 1e2)  # it sends more
        assert machine.seconds(64, 1, 20, 1e5) == machine.seconds(64, 1, 0, 0)  # nobody to send to
