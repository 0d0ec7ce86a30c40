"""One process of a mesh: `python -m tests.scoring.mesh_worker PROCESSES INDEX PORT`; process 0 prints the results."""

import json
import sys

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

import nrjax
from nrjax.kernels import ScoreSettings
from nrjax.scoring.operators import programs
from nrjax.scoring.sharding import spec
from nrjax.scoring.silhouette_programs import program_of, silhouettes_of_model
from tests.scoring.mesh_data import labels, stack

COLLECTIVES = ("all-gather", "all-to-all", "collective-permute", "reduce-scatter", "all-reduce")
MESHES = {"models": (-1,), "samples": (-1,), "models samples": (2, -1)}


def collectives(mesh, shape):
    """How often each program that reads features or images sends what."""
    (models, samples, dims), placed = shape, NamedSharding(mesh, spec(mesh))
    per_sample = NamedSharding(mesh, jax.sharding.PartitionSpec(*spec(mesh)[:2]))
    features = jax.ShapeDtypeStruct(shape, np.float32, sharding=placed)
    images = jax.ShapeDtypeStruct((models, samples, 32), np.float32, sharding=placed)
    weights, ids = (jax.ShapeDtypeStruct((models, samples), dtype, sharding=per_sample) for dtype in ("f4", "i4"))
    stacked = programs(True, mesh)
    score = program_of(silhouettes_of_model, True, mesh, 5, ScoreSettings(), False)
    block, vectors = np.zeros((models, 16, dims), np.float32), np.zeros((models, dims, 32), np.float32)
    lowered = {
        "multiply": stacked.multiply.lower(features, block, weights),
        "gram": stacked.gram.lower(features, weights),
        "project": stacked.project.lower(features, vectors, np.zeros(models, np.int32), weights),
        "silhouettes": score.lower(images, ids, weights),
    }
    texts = {name: program.compile().as_text() for name, program in lowered.items()}
    return {name: {word: text.count(f" {word}") for word in COLLECTIVES} for name, text in texts.items()}


def main(processes: int, index: int, port: str) -> None:
    if processes > 1:
        jax.distributed.initialize(f"127.0.0.1:{port}", processes, index)
    found = {"devices": jax.device_count(), "scores": {}, "programs": {}}
    features, classes = stack(), labels()
    for names, shape in MESHES.items():
        if names == "models" and processes > 1:
            continue  # nothing is sent that the other two would not send
        mesh = Mesh(np.array(jax.devices()).reshape(shape), names.split())
        whole = nrjax.score_batch(features, classes, mesh=mesh)  # one model needs gram, so both programs run
        found["scores"][names] = np.asarray(whole).tolist()
        even = features[: len(features) // 4 * 4, : features.shape[1] // 4 * 4]  # parts of equal size
        placed = NamedSharding(mesh, spec(mesh))
        parts = jax.make_array_from_callback(even.shape, placed, lambda part, even=even: even[part])
        apart = nrjax.score_batch(parts, classes[: even.shape[1]], mesh=mesh)
        found["scores"][f"{names} placed"] = np.asarray(apart).tolist()
        if processes == 1:  # more processes run the same programs
            found["programs"] |= {f"{names} {name}": counts for name, counts in collectives(mesh, even.shape).items()}
    if index == 0:
        print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
