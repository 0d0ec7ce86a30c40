"""Two nodes of Ray on this machine: one is lost, another joins, and nothing else changes."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import nrjax
from nrjax.sweeps import _ray
from tests.sweeps.faulty import Linear
from tests.sweeps.test_sweep import GOOD, wait_for_workers_to_end

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'nrjax[ray]'")


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_claims_are_kept_beside_the_driver(cluster):
    cluster.wait_for_nodes()
    actors = [_ray._claims_on(_ray._node_of_driver()) for _ in range(6)]
    nodes = ray.get([actor.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id()) for actor in actors])
    assert set(nodes) == {cluster.head_node.node_id}


def test_a_node_is_lost_and_one_joins(tmp_path, cluster, samples, monkeypatch):
    models = GOOD | {f"m{seed}": Linear(seed, marks=str(tmp_path)) for seed in range(100, 124)}
    right = nrjax.rank(models, *samples, progress=False)
    (tmp_path / "passes").unlink()
    lost = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    monkeypatch.setattr(_ray, "_node_of_driver", lambda: lost.node_id)  # the worst place of the claims

    options = {"engine": "ray", "store": tmp_path / "r.db", "progress": False}
    with ThreadPoolExecutor(1) as pool:
        sweeping = pool.submit(nrjax.sweep, models, *samples, **options)
        while not (tmp_path / "passes").exists() and not sweeping.done():
            time.sleep(0.05)
        time.sleep(1)
        cluster.remove_node(lost, allow_graceful=False)
        cluster.add_node(num_cpus=1)
        swept = sweeping.result()
    assert swept.ranking.scores == right.scores
    assert swept.computed == len(models)
    again = nrjax.sweep(models, *samples, **options)
    assert (again.computed, again.ranking.to_dict()) == (0, swept.ranking.to_dict())
    wait_for_workers_to_end()  # when no task has come for a while, though the cluster and this driver go on


def test_there_is_no_cluster(samples):
    with pytest.raises(ValueError, match=r"there is no Ray cluster at '127\.0\.0\.1:1'"):
        nrjax.sweep(GOOD, *samples, engine="ray", address="127.0.0.1:1", progress=False)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "auto"])
def test_a_dead_address_is_a_line_within_seconds(tmp_path, monkeypatch, samples, address):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(ValueError, match="there is no Ray cluster at") as raised:
        nrjax.sweep(GOOD, *samples, engine="ray", address=address, progress=False)
    assert time.monotonic() - start < 15
    assert "\n" not in str(raised.value)


def marked(x):
    return x if os.environ.get("NRJAX_TEST_MARK") == "mine" else 0 * x


def test_the_environment_reaches_candidates(monkeypatch, samples, nodes):
    options = {"engine": "ray", "address": nodes, "workers": 1, "scores": "silhouette", "progress": False}
    monkeypatch.setenv("NRJAX_TEST_MARK", "mine")  # which the nodes have not
    swept = nrjax.sweep({"m": nrjax.from_embedder(marked, "array")}, *samples, **options)
    assert swept.ranking.order == ["m"]
