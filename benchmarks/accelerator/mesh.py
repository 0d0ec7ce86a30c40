"""Models and samples split over 1 to 8 virtual devices: what each holds and sends; and what follows for real ones.

    python -m benchmarks.accelerator.mesh [--out DIR]

Scores 8 x 10,000 x 1,024 on every mesh of CPU devices and compares them with those without one; counts the sums over
devices in the traced program, those of a step of Krylov iteration apart; then predicts 8 GPUs from the H100's table and
a TPU v5e-16 from its published rates. Writes mesh.md.
"""

import argparse
import math
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import nrjax
from benchmarks.accelerator.predicted import predicted
from benchmarks.command import commit, device, main_of, parser
from benchmarks.kernels.data import CLASSES
from nrjax.kernels import ScoreSettings
from nrjax.scoring import mesh as meshes

MODELS, SAMPLES, DIMS, DEVICES = 8, 10_000, 1_024, 8
RESULTS = Path(__file__).parent / "results"


class Sums(NamedTuple):
    """All-reduces of a program, and the bytes that are summed in them."""

    number: int
    bytes: int


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    said = parser("benchmarks.accelerator.mesh", __doc__)
    said.add_argument("--out", type=Path, default=RESULTS, help="Where results go.")
    return said.parse_args(argv)


def run(options: argparse.Namespace) -> None:
    """Measures, predicts and writes."""
    rows = list(measured())
    whole = next(row for row in rows if row["split"] == "samples" and row["devices"] == DEVICES)
    lines = [
        "# Meshes", "",
        f"`python -m benchmarks.accelerator.mesh`, {commit()}, jax {jax.__version__}, {DEVICES} virtual devices of "
        f"{device()}: {MODELS} models of {SAMPLES:,} x {DIMS:,}, and whole scores of them.", "",
        "Virtual devices share two cores, so their times say nothing; what each holds, computes and sends does not "
        "depend on what they are. Sums are all-reduces, one after another; a step is one more round of Krylov "
        "iteration (one to three on trained layers).", "",
        "| split over | devices | features on each | of the whole | beside them | sums | their bytes | a step: sums | "
        "bytes | difference to one device |", "|---" * 10 + "|",
        *(
            f"| {row['split']} | {row['devices']} | {row['features'] / 2**20:.1f} MiB | {row['share']:.3f} | "
            f"{row['temporary'] / 2**20:.1f} MiB | {row['fixed'].number} | {row['fixed'].bytes / 2**10:,.0f} KiB | "
            f"{row['step'].number} | {row['step'].bytes / 2**10:,.0f} KiB | {row['difference']:.0e} |"
            for row in rows
        ), "",
        *predicted(whole["fixed"], whole["step"], MODELS),
    ]  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "mesh.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def measured() -> Iterator[dict[str, Any]]:
    """Every mesh: the scores beside those of one device, what a device holds, what is sent."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, SAMPLES)
    rows = rng.normal(size=(CLASSES, DIMS))[labels] + rng.normal(size=(SAMPLES, DIMS))
    stack = np.stack([(rows / np.arange(1, DIMS + 1) ** (0.5 + i / 16)).astype(np.float32) for i in range(MODELS)])
    alone = np.asarray(nrjax.score_batch(stack, labels))
    shapes = [(("models",), (n,)) for n in (1, 2, 4, 8)] + [(("samples",), (n,)) for n in (1, 2, 4, 8)]
    for names, shape in [*shapes, (meshes.AXES, (2, 2)), (meshes.AXES, (4, 2)), (meshes.AXES, (2, 4))]:
        count = math.prod(shape)
        mesh = Mesh(np.array(jax.devices()[:count]).reshape(shape), names)
        scores = np.asarray(nrjax.score_batch(stack, labels, mesh=mesh))
        placed = NamedSharding(mesh, meshes.spec(mesh))
        per_sample = NamedSharding(mesh, PartitionSpec(meshes.spec(mesh)[1]))
        shaped = (
            jax.ShapeDtypeStruct(stack.shape, np.float32, sharding=placed),
            jax.ShapeDtypeStruct((SAMPLES,), np.int32, sharding=per_sample),
            jax.ShapeDtypeStruct((SAMPLES,), bool, sharding=per_sample),
        )
        options = {"n_classes": CLASSES, "settings": ScoreSettings(), "mesh": mesh}
        memory: Any = meshes._score.lower(*shaped, **options).compile().memory_analysis()
        held = {shard.data.nbytes for shard in jax.device_put(stack, placed).addressable_shards}
        fixed, step = sums(jax.make_jaxpr(lambda *arrays, options=options: meshes._score(*arrays, **options))(*shaped))
        split = " x ".join(f"{name} {n}" for name, n in zip(names, shape, strict=True))
        yield {
            "split": split if len(names) > 1 else names[0],
            "devices": count, "features": max(held), "share": max(held) / stack.nbytes,
            "temporary": memory.temp_size_in_bytes, "fixed": fixed, "step": step,
            "difference": float(np.abs(scores - alone).max()),
        }  # fmt: skip


def sums(traced: Any) -> tuple[Sums, Sums]:
    """All-reduces of a traced program: those that happen once, and those of one round of its `while` loops."""
    found: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}

    def walk(program: Any, times: int, within: bool) -> None:
        for equation in program.eqns:
            name = equation.primitive.name
            if name in ("psum", "psum2", "psum_invariant", "pmax"):
                found[within]["count"] += times * len(equation.invars)
                found[within]["bytes"] += times * sum(
                    one.aval.size * one.aval.dtype.itemsize for one in equation.invars
                )
            often = times * equation.params["length"] if name == "scan" else times
            for inner in _inside(equation):
                walk(inner, often, within or name == "while")

    walk(traced.jaxpr, 1, False)
    return tuple(Sums(found[within]["count"], found[within]["bytes"]) for within in (False, True))  # type: ignore


def _inside(equation: Any) -> Iterator[Any]:
    """Programs that an operation runs; of two branches the one where the condition is false: the other is seldom."""
    values = equation.params["branches"][:1] if "branches" in equation.params else equation.params.values()
    for value in values:
        for one in value if isinstance(value, (tuple, list)) else (value,):
            program = getattr(one, "jaxpr", one)
            if hasattr(program, "eqns"):
                yield program


def _with_devices() -> None:
    """JAX has to be told before it begins."""
    if len(jax.devices()) < DEVICES:
        environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(DEVICES)}
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.accelerator.mesh", *sys.argv[1:]], environment)


main = main_of(arguments, run)

if __name__ == "__main__":
    _with_devices()
    sys.exit(main())
