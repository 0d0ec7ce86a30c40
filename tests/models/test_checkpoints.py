"""Checkpoints as training code leaves them: loaded without conversion, leftovers ignored, what is missing named."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx, serialization
from flax.training.train_state import TrainState
from safetensors.numpy import save_file

import nrjax
from nrjax.models import CheckpointError, _read, load_variables


class Net(nn.Module):
    """With running statistics, which live beside the parameters."""

    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.BatchNorm(use_running_average=not train, name="norm")(x.reshape(len(x), -1))
        return nn.Dense(3, name="head")(nn.relu(nn.Dense(8, name="hidden")(x)))


X = np.random.default_rng(0).normal(size=(40, 4, 4, 1)).astype(np.float32)
NET = Net()
VARIABLES = jax.tree.map(lambda x: np.asarray(x) + 0.5, NET.init(jax.random.key(0), X[:1]))
WANTED = jax.eval_shape(NET.init, jax.random.key(0), X[:1])


def state(params):
    return TrainState.create(apply_fn=NET.apply, params=params, tx=optax.adam(1e-3))


def flat(tree, separator="."):
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {separator.join(str(part.key) for part in path): np.asarray(leaf) for path, leaf in leaves}


def orbax(path, tree):
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, tree)
    return path


def manager(path, tree, item=None):
    import orbax.checkpoint as ocp

    with ocp.CheckpointManager(path) as manager:
        for step, factor in ((2, 0), (10, 1)):
            scaled = jax.tree.map(lambda x, factor=factor: x * factor, tree)
            saved = ocp.args.StandardSave(scaled)
            manager.save(step, args=ocp.args.Composite(**{item: saved}) if item else saved)
            manager.wait_until_finished()
    return path


def msgpack(path, tree):
    path.write_bytes(serialization.to_bytes(tree))
    return path


def safetensors(path, arrays):
    save_file(arrays, path)
    return path


def shards(folder):
    arrays = flat(VARIABLES)
    names = sorted(arrays)
    files = {name: f"model-{i % 2 + 1:05}-of-00002.safetensors" for i, name in enumerate(names)}
    for file in set(files.values()):
        save_file({name: arrays[name] for name in names if files[name] == file}, folder / file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": files}))
    return index


class WithStatistics(TrainState):
    batch_stats: dict


def with_statistics():
    return WithStatistics.create(
        apply_fn=NET.apply, params=VARIABLES["params"], tx=optax.adam(1e-3), batch_stats=VARIABLES["batch_stats"]
    )


LOADED = {
    "as nrjax writes it": lambda f: safetensors(f / "w.safetensors", flat(VARIABLES, "/")),
    "names with dots": lambda f: safetensors(f / "w.safetensors", flat(VARIABLES)),
    "a TrainState with statistics": lambda f: msgpack(f / "w.msgpack", with_statistics()),
    "a TrainState of all variables": lambda f: msgpack(f / "w.msgpack", state(VARIABLES)),
    "beside a step": lambda f: msgpack(f / "w.msgpack", {**VARIABLES, "step": 3, "opt_state": {"mu": VARIABLES}}),
    "below another name": lambda f: msgpack(f / "w.msgpack", {"model": VARIABLES, "epoch": 7}),
    "averages beside it": lambda f: msgpack(f / "w.msgpack", {**VARIABLES, "ema_params": VARIABLES["params"]}),
    "averages of another name": lambda f: msgpack(f / "w.msgpack", {**VARIABLES, "best": VARIABLES["params"]}),
    "shards": shards,
    "Orbax": lambda f: orbax(f / "w.orbax", VARIABLES),
    "a TrainState in Orbax": lambda f: orbax(f / "w.orbax", with_statistics()),
    "a manager's root": lambda f: manager(f / "root", VARIABLES),
    "a manager's step": lambda f: manager(f / "root", VARIABLES) / "10",
    "a manager's item": lambda f: manager(f / "root", VARIABLES, "state"),
}


@pytest.mark.parametrize("case", LOADED)
def test_loads_without_conversion(case, tmp_path):
    loaded = load_variables(LOADED[case](tmp_path), WANTED)
    jax.tree.map(np.testing.assert_array_equal, loaded, VARIABLES)


def test_weights_without_the_params_level(tmp_path):
    params = {"params": VARIABLES["params"]}
    path = safetensors(tmp_path / "w.safetensors", flat(VARIABLES["params"]))
    loaded = load_variables(path, jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), params))
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_orbax_of_other_devices(tmp_path):
    """Saved from a mesh of four devices, in another process; there is one here."""
    code = f"""
import jax, numpy as np, orbax.checkpoint as ocp
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
mesh = Mesh(np.array(jax.devices()), ("x",))
tree = {{"params": {{"a": jax.device_put(np.arange(8.).reshape(4, 2), NamedSharding(mesh, P("x"))),
        "b": jax.device_put(np.ones(3), jax.devices()[3])}}}}
with ocp.StandardCheckpointer() as c: c.save({str(tmp_path / "w.orbax")!r}, tree)
"""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    wanted = {"params": {"a": np.zeros((4, 2), np.float32), "b": np.zeros(3, np.float32)}}
    loaded = load_variables(tmp_path / "w.orbax", wanted)["params"]
    np.testing.assert_array_equal(loaded["a"], np.arange(8).reshape(4, 2))
    np.testing.assert_array_equal(loaded["b"], 1)


class NNXNet(nnx.Module):
    def __init__(self, rngs):
        self.hidden, self.head = nnx.Linear(4, 8, rngs=rngs), nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, x):
        return self.head(nnx.relu(self.hidden(x)))


@pytest.mark.parametrize("weights", ["w.safetensors", "w.msgpack", "w.orbax"])
def test_state_of_an_nnx_module_is_saved_as_it_is(weights, tmp_path):
    nrjax.register_architecture("nnx_pair", NNXNet)
    module = NNXNet(nnx.Rngs(1))
    nrjax.save_model(
        tmp_path, "m", nnx.state(module, nnx.Param), architecture="nnx_pair", config={}, input_shape=(4,),
        weights=weights,
    )  # fmt: skip
    inputs = X.reshape(40, -1)[:, :4]
    features = nrjax.extract_features(nrjax.load_zoo(tmp_path)["m"], inputs, "penultimate")
    np.testing.assert_allclose(features, nnx.relu(module.hidden(inputs)), atol=1e-6)


def test_an_nnx_state_in_orbax(tmp_path):
    module = NNXNet(nnx.Rngs(1))
    path = orbax(tmp_path / "w.orbax", nnx.state(module))
    loaded = load_variables(path, nnx.to_pure_dict(nnx.state(NNXNet(nnx.Rngs(2)))))
    np.testing.assert_array_equal(loaded["head"]["kernel"], module.head.kernel[...])


REFUSED = {
    "an array that is missing": (
        lambda f: msgpack(f / "w.msgpack", {**VARIABLES, "params": {"hidden": VARIABLES["params"]["hidden"]}}),
        r"missing params/head/bias \(3,\); missing params/head/kernel",
    ),
    "a layer too many": (
        lambda f: msgpack(f / "w.msgpack", {"params": VARIABLES["params"] | {"tail": np.ones(2)}, **{
            "batch_stats": VARIABLES["batch_stats"]}}),
        r"extra params/tail \(2,\)",
    ),
    "two places": (
        lambda f: msgpack(f / "w.msgpack", {"student": VARIABLES, "teacher": VARIABLES}),
        "several places",
    ),
    "a shard outside": (
        lambda f: _index(f, {"a": "../w.safetensors"}), "names '../w.safetensors', which is no .safetensors file",
    ),
    "a shard that is missing": (lambda f: _index(f, {"a": "b.safetensors"}), "b.safetensors is not there"),
    "an index that is none": (lambda f: _index(f, None), "expected JSON with a weight_map"),
    "values beyond float32": (
        lambda f: safetensors(f / "w.safetensors", {k: v.astype(float) * 1e300 for k, v in flat(VARIABLES).items()}),
        "has values beyond float32",
    ),
}  # fmt: skip


def _index(folder, files):
    path = folder / "x.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": files} if files else []))
    return path


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_sentence(case, tmp_path):
    make, words = REFUSED[case]
    with pytest.raises(CheckpointError, match=words) as raised:
        load_variables(make(tmp_path), WANTED)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("what", [None, [1], "a path", NNXNet, {"params": {"kernel": "text"}}])
def test_save_model_says_what_it_takes(what, tmp_path):
    with pytest.raises(TypeError, match="variables must"):
        nrjax.save_model(tmp_path, "m", what, architecture="paper_cnn", config={}, input_shape=(8, 8, 1))


def test_save_model_writes_nothing_that_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match="does not fit the architecture"):
        nrjax.save_model(
            tmp_path, "m", VARIABLES, architecture="paper_cnn", config={"classes": 3}, input_shape=(8, 8, 1)
        )
    assert not any(tmp_path.iterdir())


def test_a_read_of_a_damaged_checkpoint_that_ends_late_is_not_reported(caplog):
    loop = _read._Loop()
    loop.create_future().set_exception(ValueError("nobody waits for it"))
    loop.close()
    assert not caplog.records
