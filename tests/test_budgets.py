"""What a first ranking costs, as counts: modules that are imported, lines of StableHLO, programs. No clock is read."""

import subprocess
import sys

import jax
import numpy as np
import pytest

import nrjax
from nrjax.kernels import ScoreSettings, score
from nrjax.kernels import influence as influences
from nrjax.scoring import ahead, silhouette_programs
from nrjax.scoring.estimates import estimates_of_model
from nrjax.scoring.scores import available_scores
from nrjax.scoring.silhouette_programs import Task

SHAPE, CLASSES = (300, 200), 10
LINES = 600  # of StableHLO a program
LONGER = {"balanced_knn": 650}
HEAVY = ("flax", "tensorflow_datasets", "torch", "transformers", "ray", "scipy.stats", "scipy.linalg", "matplotlib")
MODULES = 110  # that `import nrjax` loads beyond those of `import jax`

FEATURES = jax.ShapeDtypeStruct(SHAPE, np.float32)
LABELS = jax.ShapeDtypeStruct(SHAPE[:1], np.int32)
OUTPUTS = jax.ShapeDtypeStruct((SHAPE[0], 3), np.float32)


def programs():
    """What is compiled, by name; as lowered by JAX."""
    for name, base in available_scores().items():
        for kind in (base, *base.others):
            if kind.reads not in ("features", "probabilities") or name == "silhouette":
                continue
            labels = LABELS if kind.task == "classification" else OUTPUTS
            for classes in (CLASSES,) if kind.labelled else (CLASSES, 0):  # 0: it chooses how many
                task = "" if kind is base else f" of {kind.task}"
                yield (
                    f"{name}{task}" if classes else f"{name} of a number that it chooses",
                    lambda kind=kind, labels=labels, classes=classes: estimates_of_model.lower(
                        FEATURES, labels=labels, n_classes=classes, kinds=(kind,), solver="gram", rounding=1e-7
                    ),
                )
    for solver in ("gram", "svd"):
        settings = ScoreSettings(solver=solver)
        yield (
            f"score by {solver}",
            lambda settings=settings: score.lower(FEATURES, LABELS, n_classes=CLASSES, settings=settings),
        )
    points, others = (jax.ShapeDtypeStruct((SHAPE[0], width), np.float32) for width in (10, 22))
    options = {"n_classes": CLASSES, "distance": "cosine", "definition": "rousseeuw", "method": "auto"}
    chances = jax.ShapeDtypeStruct((influences.SPLITS, SHAPE[0]), np.float32)
    for name, function, arguments in (
        ("influences", influences._influences, (points, LABELS, others)),
        ("bias", influences._bias, (points, LABELS, others, chances)),
    ):
        yield (
            name,
            lambda function=function, arguments=arguments: function.lower(*arguments, **options, block_size=None),
        )


@pytest.mark.parametrize(
    ("name", "lowered"), list(programs()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_lines_of_a_program(name, lowered):
    assert len(lowered().as_text().splitlines()) <= LONGER.get(name, LINES)


@pytest.mark.parametrize("entries", [0, silhouette_programs.HOST_ENTRIES])
@pytest.mark.parametrize("shape", [(300, 200), (300, 40), (40, 300)], ids=["iterated", "narrow", "few samples"])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_lines_of_the_programs_of_a_silhouette(shape, distance, entries, monkeypatch):
    """Those that are compiled ahead, which are all that a ranking needs; none of those that the host takes over."""
    monkeypatch.setattr(silhouette_programs, "HOST_ENTRIES", entries)
    on_host = distance == "cosine" and entries > 0
    expected = ({"multiply"} if shape == (300, 200) else set()) | (set() if on_host else {"silhouettes", "moved"})
    lines = {}

    def record(key, lowered):
        lines[key] = len(lowered.as_text().splitlines())

    task = Task(np.arange(shape[0], dtype=np.int32) % CLASSES, CLASSES, ScoreSettings(distance=distance))
    compilations = ahead._compilations(shape, task)
    for key, run in compilations.items():
        monkeypatch.setattr(jax.stages.Lowered, "compile", lambda self, key=key: record(key, self))
        run()
    assert {key[0] for key in lines} == expected
    assert [key for key, count in lines.items() if count > LINES] == []


def test_programs_of_twelve_widths():
    """One that reads the features for each width."""
    jax.clear_caches()
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: compiled.append(event) if event.endswith("backend_compile_duration") else None
    )
    rng = np.random.default_rng(0)
    zoo = {f"{dims} wide": rng.normal(size=(300, dims)).astype(np.float32) / np.arange(1, dims + 1)
           for dims in range(160, 160 + 12 * 16, 16)}  # fmt: skip
    nrjax.rank_batch({name: features.astype(np.float32) for name, features in zoo.items()}, np.arange(300) % 5)
    assert len(compiled) == len(zoo)


def imported(module):
    code = f"import sys, {module}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_modules_of_an_import():
    with_nrjax, with_jax = imported("nrjax"), imported("jax")
    assert [name for name in HEAVY if name in with_nrjax] == []
    assert len(with_nrjax - with_jax) <= MODULES, sorted(with_nrjax - with_jax)
