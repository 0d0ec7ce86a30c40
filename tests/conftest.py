import os
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
import threadpoolctl

import nrjax
from nrjax.datasets import Dataset
from nrjax.models import PaperCNN

TFDS_DIR = Path(os.environ.get("TFDS_DATA_DIR", Path.home() / "tensorflow_datasets"))
# Three quarters of the suite's time were XLA's: what another module, process or run has compiled is taken from here.
COMPILED = Path(os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path.home() / ".cache" / "nrjax" / "tests")))
COMPILED_AT_MOST = 1 << 30  # bytes; then all are compiled anew
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")  # of processes that tests start
nrjax.cache_compilations(COMPILED)
MARK = "NRJAX_TESTS"  # a variable of all processes that this one started, and they
os.environ[MARK] = str(os.getpid())
if "PYTEST_XDIST_WORKER" in os.environ:
    # There is a process for every core: more threads of BLAS and OpenMP would wait for each other, and spin meanwhile.
    threadpoolctl.threadpool_limits(1)
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # of what is loaded later, and of processes
    # Ray joins what runs on the machine already, such as the cluster of another.
    os.environ.setdefault("RAY_TMPDIR", f"/tmp/ray-{os.environ['PYTEST_XDIST_WORKER']}-{os.getuid()}")
TINY = {"classes": 3, "conv_features": [2, 3], "dense_features": 8}


def pytest_sessionstart(session):
    if hasattr(session.config, "workerinput"):  # of pytest-xdist: who started it has done so
        return
    if COMPILED.is_dir() and sum(path.stat().st_size for path in COMPILED.iterdir()) > COMPILED_AT_MOST:
        shutil.rmtree(COMPILED)


FAST = {
    "test_outcome", "test_cost", "test_sortable_table", "test_labels", "test_budgets", "test_public", "test_silhouette",
    "test_pca", "test_bad_input", "test_ranking", "test_names", "test_places", "test_imports",
}  # fmt: skip


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.stem in FAST:
            item.add_marker(pytest.mark.fast)


@pytest.fixture(scope="module", autouse=True)
def few_programs():
    """Compiled programs are dropped after every module: each maps memory, and a process may map only so often."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def mnist_dir():
    """Where TFDS keeps MNIST; tests on real data skip where it is not prepared."""
    return _prepared("mnist")


@pytest.fixture(scope="session")
def fashion_dir():
    return _prepared("fashion_mnist")


def _prepared(name):
    if not any(TFDS_DIR.glob(f"{name}/*/*.array_record*")):
        pytest.skip(f"{name} is not prepared in {TFDS_DIR}: real-data tests need ../shared/data or a TFDS download")
    return TFDS_DIR


def tiny_variables(seed=0, **changes):
    config = TINY | changes
    module = PaperCNN(config["classes"], tuple(config["conv_features"]), config["dense_features"])
    return module, module.init(jax.random.key(seed), np.zeros((1, 8, 8, 1), np.float32))


@pytest.fixture
def save_tiny():
    """Saves a small model of the paper's family into a zoo."""

    def save(zoo, name, seed=0, **options):
        _, variables = tiny_variables(seed)
        arguments = {"architecture": "paper_cnn", "config": TINY, "input_shape": (8, 8, 1)} | options
        return nrjax.save_model(zoo, name, variables, **arguments)

    return save


@pytest.fixture
def tiny_images():
    """uint8 images of three classes that differ in brightness, and their labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 40)
    return (rng.integers(0, 90, (40, 8, 8, 1)) + 80 * labels[:, None, None, None]).astype(np.uint8), labels


@pytest.fixture
def paper_tiny(monkeypatch):
    """The paper's zoos are of small networks, and its images differ in brightness; no data set is needed."""
    from benchmarks.paper import evaluate, train, zoos

    tiny = {"full": ((2, 3), 40), "lite": ((2,), 40), "512": ((2, 3), 20)}
    monkeypatch.setattr(
        zoos, "VARIANTS", {v: {"conv_features": c, "dense_features": d} for v, (c, d) in tiny.items()}
    )  # fmt: skip

    def load_dataset(name, split, *, classes="0-9", **options):
        rng = np.random.default_rng([len(name), len(split)])
        labels = np.arange(240) % (int(classes[-1]) + 1)
        images = rng.integers(0, 120, (240, 28, 28, 1)) + 12 * labels[:, None, None, None]
        return Dataset(images.astype(np.uint8), labels, tuple("0123456789"))

    monkeypatch.setattr(train, "load_dataset", load_dataset)
    monkeypatch.setattr(nrjax, "load_dataset", load_dataset, raising=False)
    monkeypatch.setattr(
        evaluate, "COMPONENTS", (1, 2, 5, 10, 50, 500)
    )  # a number of components is a program; 500 are too many


@pytest.fixture
def paper_smoke(paper_tiny, tmp_path):
    """`python -m benchmarks.paper` on `paper_tiny`."""
    from benchmarks.paper.__main__ import main

    def run(*words, out="out"):
        arguments = ["--cache", tmp_path / "cache", "--out", tmp_path / out, "--steps", 4, *words]
        return main([str(a) for a in arguments]), tmp_path / out

    return run
