import numpy as np
import pytest

from tests.sweeps.faulty import Linear


@pytest.fixture
def samples():
    """Arrays of three classes, and their labels."""
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 3
    return rng.normal(size=(60, 6)).astype(np.float32) + labels[:, None], labels


@pytest.fixture(scope="session")
def nodes():
    """The address of a cluster of Ray on this machine: two nodes of one CPU, and one without for drivers."""
    pytest.importorskip("ray", reason="ray is not installed: pip install 'nrjax[ray]'")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster.address
    cluster.shutdown()


@pytest.fixture(params=["inline", "local", "ray"])
def engine(request):
    """What makes a sweep use an engine."""
    return {"engine": request.param} | ({"address": request.getfixturevalue("nodes")} if request.param == "ray" else {})


@pytest.fixture
def models():
    return {f"m{seed}": Linear(seed) for seed in range(4)}
