"""Scores 8 x 10,000 x 1,024 on a mesh of four virtual CPU devices; says what each device holds and what is sent.

JAX_NUM_CPU_DEVICES=4 python -m benchmarks.kernels.mesh
"""

import json
import re

import click
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

import nrjax
from benchmarks.kernels import data
from nrjax.kernels import ScoreSettings
from nrjax.scoring import mesh as meshes

MODELS, SAMPLES, DIMS = 8, 10_000, 1_024
SIZES = {"f32": 4, "s32": 4, "pred": 1}


@click.command(help=__doc__)
def main() -> None:
    """The command."""
    features, labels = data.blobs(SAMPLES, DIMS)
    stack = np.stack([features] * MODELS)
    alone = np.asarray(nrjax.score_batch(stack, labels))
    found = {}
    for names, shape in {"models": (4,), "samples": (4,), "models and samples": (2, 2)}.items():
        mesh = Mesh(np.array(jax.devices()).reshape(shape), names.split(" and "))
        scores = np.asarray(nrjax.score_batch(stack, labels, mesh=mesh))
        placed = NamedSharding(mesh, meshes.spec(mesh))
        per_sample = NamedSharding(mesh, jax.sharding.PartitionSpec(meshes.spec(mesh)[1]))
        program = meshes._score.lower(
            jax.ShapeDtypeStruct(stack.shape, np.float32, sharding=placed),
            jax.ShapeDtypeStruct((SAMPLES,), np.int32, sharding=per_sample),
            jax.ShapeDtypeStruct((SAMPLES,), bool, sharding=per_sample),
            n_classes=data.CLASSES, settings=ScoreSettings(), mesh=mesh,
        ).compile()  # fmt: skip
        memory = program.memory_analysis()
        assert memory is not None
        found[names] = {
            "features_mib": round(memory.argument_size_in_bytes / 2**20, 1),
            "temporary_mib": round(memory.temp_size_in_bytes / 2**20, 1),
            "largest_sum_kib": round(largest_sum(program.as_text() or "") / 2**10, 1),
            "difference": float(np.abs(scores - alone).max()),
        }
    click.echo(json.dumps(found))


def largest_sum(program: str) -> int:
    """Bytes of the largest all-reduce in a compiled program."""
    sums = re.findall(r"(\w+)\[([\d,]*)\]\S* all-reduce\(", program)
    return max(SIZES[kind] * int(np.prod([int(n) for n in shape.split(",") if n])) for kind, shape in sums)


if __name__ == "__main__":
    main()
