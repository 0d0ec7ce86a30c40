"""One process of a mesh: `python -m tests.scoring.mesh_worker PROCESSES INDEX PORT`; process 0 prints the results."""

import json
import sys

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

import nrjax
from nrjax.kernels import ScoreSettings
from nrjax.scoring import mesh as meshes
from tests.scoring.mesh_data import labels, stack

MESHES = {"models": (-1,), "samples": (-1,), "models samples": (2, -1)}


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
        placed = NamedSharding(mesh, meshes.spec(mesh))
        parts = jax.make_array_from_callback(even.shape, placed, lambda part, even=even: even[part])
        apart = nrjax.score_batch(parts, classes[: even.shape[1]], mesh=mesh)
        found["scores"][f"{names} placed"] = np.asarray(apart).tolist()
        sharding = NamedSharding(mesh, jax.sharding.PartitionSpec(meshes.spec(mesh)[1]))
        samples = jax.ShapeDtypeStruct((even.shape[1],), int, sharding=sharding)
        mask = jax.ShapeDtypeStruct((even.shape[1],), bool, sharding=sharding)
        for solver in ("krylov", "gram") if processes == 1 else ():  # more processes run the same programs
            lowered = meshes._score.lower(
                jax.ShapeDtypeStruct(even.shape, np.float32, sharding=placed), samples, mask,
                n_classes=5, settings=ScoreSettings(solver=solver), mesh=mesh,
            )  # fmt: skip
            text = lowered.compile().as_text()
            words = ("all-gather", "all-to-all", "collective-permute", "reduce-scatter", "all-reduce")
            found["programs"][f"{names} {solver}"] = {word: text.count(f" {word}") for word in words}
    if index == 0:
        print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
