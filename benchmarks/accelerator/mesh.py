"""Models and samples split over 1 to 8 virtual devices: what each holds and sends; and what follows for real ones.

    python -m benchmarks.accelerator.mesh [--out DIR]

Scores 8 x 10,000 x 1,024 to 1e-6 on every mesh of CPU devices, by iteration and exactly, and compares the scores with
those without a mesh. Each program says what memory it takes beside its arguments and which sums over devices it makes.
Then predicts 8 GPUs from the H100's table and a TPU v5e-16 from its published rates. Writes mesh.md.
"""

import argparse
import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

import nrjax
from benchmarks.accelerator.predicted import predicted
from benchmarks.command import commit, device, main_of, parser
from benchmarks.kernels.data import CLASSES
from nrjax.scoring import array_features, operators, sharding, silhouette_programs

MODELS, SAMPLES, DIMS, DEVICES, TOLERANCE = 8, 10_000, 1_024, 8, 1e-6
RESULTS = Path(__file__).parent / "results"


class Sums(NamedTuple):
    """All-reduces, and the bytes that are summed in them."""

    number: int
    bytes: int


class Program(NamedTuple):
    """One compiled program on a mesh.

    Attributes:
      memory: bytes of its results and temporaries on each device.
      sums: of one call.
      calls: of it, in one score of all models.
    """

    memory: int
    sums: Sums
    calls: int = 0


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    said = parser("benchmarks.accelerator.mesh", __doc__)
    said.add_argument("--out", type=Path, default=RESULTS, help="Where results go.")
    return said.parse_args(argv)


def run(options: argparse.Namespace) -> None:
    """Measures, predicts and writes."""
    rows = list(measured())
    lines = [
        "# Meshes", "",
        f"`python -m benchmarks.accelerator.mesh`, {commit()}, jax {jax.__version__}, {DEVICES} virtual devices of "
        f"{device()}: {MODELS} models of {SAMPLES:,} x {DIMS:,}, scored to {TOLERANCE:.0e} by iteration, and exactly.",
        "",
        "Virtual devices share two cores, so their times say nothing. What each holds, computes and sends does not "
        "depend on what they are. Sums are all-reduces, one after another, each of all models together.", "",
        "## What each device holds", "",
        "MiB of the features, and beside them of the results and temporaries of each program. `multiply`, `rotate` and "
        "`moved` are of the iteration; `moved` says how far a score may move. `gram` and `project` are of the exact "
        "scores, in float64.", "",
        *_table(rows, {
            "features": lambda row: f"{row['features'] / 2**20:.1f}", "of the whole": lambda row: f"{row['share']:.3f}",
        }, lambda program: f"{program.memory / 2**20:.1f}", {
            "difference to no mesh": lambda row: f"{row['difference']:.0e}",
        }),
        "## What it sends", "",
        "`6 x 4, 513 KiB` are six calls, each with four sums of 513 KiB together. In all: by iteration.", "",
        *_table(rows, {}, lambda program: (
            f"{program.calls} x {program.sums.number}, {program.sums.bytes / 2**10:,.0f} KiB"
        ), {
            "in all": lambda row: f"{row['sums'].number}, {row['sums'].bytes / 2**10:,.0f} KiB",
        }),
        *predicted({row["split"]: row["sums"] for row in rows if row["devices"] == DEVICES}, MODELS),
    ]  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "mesh.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def _table(
    rows: list[dict[str, Any]], before: dict[str, Callable[[Any], str]], cell: Callable[[Program], str],
    after: dict[str, Callable[[Any], str]],
) -> list[str]:  # fmt: skip
    """A line a mesh: a cell for each program, and columns before and after those."""
    names = list(rows[0]["programs"])
    heads = ["split over", "devices", *before, *names, *after]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        cells = [row["split"], str(row["devices"]), *(of(row) for of in before.values())]
        cells += [cell(row["programs"][name]) for name in names] + [of(row) for of in after.values()]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def measured() -> Iterator[dict[str, Any]]:
    """Every mesh: the scores beside those without one, what a device holds, what is sent."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, SAMPLES)
    rows = rng.normal(size=(CLASSES, DIMS))[labels] + rng.normal(size=(SAMPLES, DIMS))
    stack = np.stack([(rows / np.arange(1, DIMS + 1) ** (0.5 + i / 16)).astype(np.float32) for i in range(MODELS)])

    def score(solver: Any, mesh: Mesh | None = None) -> np.ndarray:
        return np.asarray(nrjax.score_batch(stack, labels, solver=solver, tolerance=TOLERANCE, mesh=mesh))

    alone = {solver: score(solver) for solver in ("krylov", "gram")}
    shapes = [(("models",), (n,)) for n in (1, 2, 4, 8)] + [(("samples",), (n,)) for n in (1, 2, 4, 8)]
    for names, shape in [*shapes, (sharding.AXES, (2, 2)), (sharding.AXES, (4, 2)), (sharding.AXES, (2, 4))]:
        count = math.prod(shape)
        mesh = Mesh(np.array(jax.devices()[:count]).reshape(shape), names)
        off, called = 0.0, {}
        for solver, scores in alone.items():
            with _watched() as called[solver]:
                off = max(off, float(np.abs(score(solver, mesh) - scores).max()))
        placed = jax.device_put(stack, NamedSharding(mesh, sharding.spec(mesh)))
        held = max(shard.data.nbytes for shard in placed.addressable_shards)
        iterated, exact = called["krylov"], called["gram"]
        split = " x ".join(f"{name} {n}" for name, n in zip(names, shape, strict=True))
        yield {
            "split": split if len(names) > 1 else names[0], "devices": count, "features": held,
            "share": held / stack.nbytes, "difference": off,
            "programs": iterated | exact | iterated,  # what both call, as the iteration calls it
            "sums": Sums(*(sum(one.calls * one.sums[i] for one in iterated.values()) for i in (0, 1))),
        }  # fmt: skip


@contextlib.contextmanager
def _watched() -> Iterator[dict[str, Program]]:
    """Programs of `score_batch` on a mesh, as they are called."""
    found: dict[str, Program] = {}

    def watch(name: str, program: Any) -> Any:
        def call(*arguments: Any) -> Any:
            if name not in found:
                traced = program.trace(*arguments)
                memory = traced.lower().compile().memory_analysis()
                found[name] = Program(memory.temp_size_in_bytes + memory.output_size_in_bytes, sums(traced.jaxpr))
            found[name] = found[name]._replace(calls=found[name].calls + 1)
            return program(*arguments)

        return call

    programs, of_points = operators.programs, silhouette_programs.program_of

    def watched_programs(*of: Any) -> operators.Programs:
        return operators.Programs(*map(watch, operators.Programs._fields, programs(*of)))

    def watched_of_points(function: Any, *of: Any) -> Callable[..., Any]:
        return watch(function.__name__.strip("_"), of_points(function, *of))

    with (
        mock.patch.object(array_features, "programs", watched_programs),
        mock.patch.object(silhouette_programs, "program_of", watched_of_points),
        mock.patch.object(sharding, "_not_finite", watch("finite", sharding._not_finite)),
    ):
        yield found


def sums(traced: Any) -> Sums:
    """All-reduces of a traced program.

    Raises:
      ValueError: sums in a loop whose rounds are not known before it runs.
    """
    number = size = 0
    for equation in traced.eqns:
        name = equation.primitive.name
        if name in ("psum", "psum2", "psum_invariant", "pmax", "pmin"):
            number += len(equation.invars)
            size += sum(one.aval.size * one.aval.dtype.itemsize for one in equation.invars)
        for program in _inside(equation):
            inside, often = sums(program), equation.params["length"] if name == "scan" else 1
            if name == "while" and inside.number:
                raise ValueError("A program sums over devices in a loop whose rounds are not known.")
            number, size = number + often * inside.number, size + often * inside.bytes
    return Sums(number, size)


def _inside(equation: Any) -> Iterator[Any]:
    """Programs that an operation runs."""
    for value in equation.params.values():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            if hasattr(one, "eqns"):
                yield one


def _with_devices() -> None:
    """JAX has to be told before it begins."""
    if len(jax.devices()) < DEVICES:
        environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(DEVICES)}
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.accelerator.mesh", *sys.argv[1:]], environment)


main = main_of(arguments, run)

if __name__ == "__main__":
    _with_devices()
    sys.exit(main())
