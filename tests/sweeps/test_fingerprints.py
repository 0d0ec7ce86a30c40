"""A live model that changed is another model: whatever changed in it, its number is the one of a fresh sweep."""

import functools
import os
import subprocess
import sys
import threading
import types
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import nrjax
from nrjax.models import FingerprintError, digest_of
from nrjax.models._content import code_of
from tests.sweeps.faulty import Linear

KEY = jax.random.key(0)
FACTOR = 1.0


class Net(nn.Module):
    act: Callable

    @nn.compact
    def __call__(self, x):
        return nn.Dense(8, name="d")(self.act(x))


class NnxNet(nnx.Module):
    def __init__(self, act):
        self.act, self.layer = act, nnx.Linear(6, 8, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.act(self.layer(x))


class Embed:
    scale = 1.0

    def __call__(self, x):
        return np.sin(x * self.scale)


def by_global(params, x):
    return jnp.sin(x * FACTOR) @ params


def by_import(x):
    import made_up_module

    return np.sin(x * made_up_module.settings.scale)


def plain(x):
    return np.sin(x)


def nine(x):
    return np.sin(x * 9)


def change_of(name, monkeypatch):
    """A model, and what changes it in place or makes the other one."""
    variables = Net(jnp.sin).init(KEY, jnp.zeros((1, 6)))
    if name == "function in a field":
        return (Net(lambda x: x), variables), lambda: (Net(lambda x: jnp.sin(x * 9)), variables)
    if name == "function of an nnx module":
        return NnxNet(lambda x: x), lambda: NnxNet(lambda x: jnp.sin(x * 9))
    if name == "trained nnx module":
        module = NnxNet(jnp.sin)

        def train():
            module.layer.kernel[...] = module.layer.kernel[...] ** 3 * 9
            return wrapped

        return (wrapped := nrjax.from_nnx(module)), train
    if name == "global of a compiled function":
        model = nrjax.from_function(by_global, jnp.eye(6))
        return model, lambda: (monkeypatch.setitem(globals(), "FACTOR", 9.0), model)[1]
    if name == "attribute of a class":
        model = nrjax.from_embedder(Embed(), "array")
        return model, lambda: (monkeypatch.setattr(Embed, "scale", 9.0), model)[1]
    if name == "module imported in a function":
        module = types.ModuleType("made_up_module")
        module.settings = types.SimpleNamespace(scale=1.0)
        monkeypatch.setitem(sys.modules, "made_up_module", module)
        model = nrjax.from_embedder(by_import, "array")
        return model, lambda: (setattr(module.settings, "scale", 9.0), model)[1]
    if name == "code of a function":
        model = nrjax.from_embedder(plain, "array")
        return model, lambda: (monkeypatch.setattr(plain, "__code__", nine.__code__), model)[1]
    assert name == "function of a package"
    model = nrjax.from_embedder(plain, "array")
    real = np.sin
    return model, lambda: (monkeypatch.setattr(np, "sin", lambda x: real(9 * x)), model)[1]


CHANGES = (
    "function in a field", "function of an nnx module", "trained nnx module", "global of a compiled function",
    "attribute of a class", "module imported in a function", "code of a function", "function of a package",
)  # fmt: skip


def check_change(tmp_path, samples, model, change):
    options = {"layer": -1, "scores": "silhouette", "progress": False}
    before = nrjax.sweep({"m": model}, *samples, store=tmp_path / "r.db", **options)
    assert nrjax.sweep({"m": model}, *samples, store=tmp_path / "r.db", **options).computed == 0
    changed = change()
    after = nrjax.sweep({"m": changed}, *samples, store=tmp_path / "r.db", **options)
    fresh = nrjax.sweep({"m": changed}, *samples, **options)
    assert after.computed == 1
    assert after.ranking.scores == pytest.approx(fresh.ranking.scores, abs=1e-6)
    assert after.ranking.scores != before.ranking.scores


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_is_computed_anew(tmp_path, monkeypatch, samples, name):
    check_change(tmp_path, samples, *change_of(name, monkeypatch))


@pytest.mark.parametrize("name", ["weights", "private", "hook", "hook before", "hook of all", "forward", "order"])
def test_what_changes_in_pytorch_is_computed_anew(tmp_path, samples, name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    class Scaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self._scale = 1.0

        def forward(self, x):
            return torch.sin(x * self._scale)

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(6, 8), Scaled(), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    handles = []

    def change():
        if name == "weights":
            module[0].weight.data.mul_(torch.rand(8, 6) ** 4 * 9)
        elif name == "private":
            module[1]._scale = 9.0
        elif name == "hook":
            module[1].register_forward_hook(lambda layer, args, out: torch.sin(9 * out))
        elif name == "hook before":
            module[1].register_forward_pre_hook(lambda layer, args: (9 * args[0],))
        elif name == "hook of all":
            handles.append(torch.nn.modules.module.register_module_forward_hook(lambda layer, args, out: out**3))
        elif name == "forward":
            module[1].forward = lambda x: torch.sin(9 * x)
        else:
            module[1], module[2] = torch.nn.Identity(), module[1]
        return model

    model = nrjax.from_torch(module)
    try:
        check_change(tmp_path, samples, model, change)
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("name", ["code", "attribute", "activation"])
def test_what_changes_in_keras_is_computed_anew(tmp_path, monkeypatch, samples, name):
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "jax"))
    keras = pytest.importorskip("keras", reason="Keras is not installed")

    def build(factor):
        class Scale(keras.layers.Layer):
            scale = 1.0

            def call(self, x):
                return keras.ops.sin(x * (factor if name == "code" else self.scale))

        keras.utils.set_random_seed(0)
        act = (lambda x: x * factor * x) if name == "activation" else None
        layers = [Scale(name="s"), keras.layers.Dense(8, activation=act, name="d"), keras.layers.Dense(3, name="o")]
        return keras.Sequential([keras.Input((6,)), *layers])

    model = build(1.0)
    change = {"attribute": lambda: (setattr(model.layers[0], "scale", 9.0), model)[1]}.get(name, lambda: build(9.0))
    check_change(tmp_path, samples, model, change)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda x: x in {1, 2, 3}, lambda x: x in {1, 2, 4}),
        (lambda x: x in ((1, "a"), ({1: 2}, {5})), lambda x: x in ((1, "a"), ({1: 2}, {6}))),
        (functools.partial(plain, {"a", "b"}), functools.partial(plain, {"a", "c"})),
        ([first := object(), second := [1], first], [first, second, second]),
        (np.ma.masked_array([1, 2], [False, True]), np.ma.masked_array([1, 2], [True, False])),
        (np.array([1, "a"], object), np.array([1, "b"], object)),
    ],
)
def test_content(one, other):
    assert digest_of(code_of(one)) == digest_of(code_of(one)) != digest_of(code_of(other))


SCRIPT = """
import numpy as np, nrjax, threading
words, lock = {'alpha', 'beta', 'gamma', ('x', frozenset('abcdef'))}, threading.Lock()
class Embed:
    def __init__(self): self.words, self.lock, self.me, self.where = words, lock, self, id(words)
    def __call__(self, x): return x if lock and x in {'some', 'words', 'of', 'a', 'set'} else len(words)
print(nrjax.from_embedder(Embed()).fingerprint)
"""


def test_neither_addresses_nor_hash_seeds_count():
    said = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(said) == 1


def test_versions_of_packages_count(tmp_path, monkeypatch):
    """Code of an installed package is known by its version; of one without a version by its text."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("nrjax.models._code.PACKAGES", (str(tmp_path),))
    (tmp_path / "made_up_package.py").write_text("def embed(x): return x\n")

    def fingerprint(version):
        for old in tmp_path.glob("*.dist-info"):
            (old / "METADATA").unlink()
            old.rmdir()
        if version:
            info = tmp_path / f"made_up_package-{version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: made_up_package\nVersion: {version}\n")
        import made_up_package

        return nrjax.from_embedder(made_up_package.embed).fingerprint

    try:
        assert len({fingerprint("1.0"), fingerprint("2.0"), fingerprint("")}) == 3
        assert fingerprint("1.0") == fingerprint("1.0")
    finally:
        sys.modules.pop("made_up_package", None)


@pytest.mark.parametrize("hold", [lambda: threading.local(), lambda: open(__file__), lambda: (x for x in [1])])
def test_what_cannot_be_read_is_not_stored(tmp_path, samples, hold):
    held = hold()
    model = nrjax.from_embedder(functools.partial(lambda held, x: x, held), "array")
    try:
        with pytest.raises(FingerprintError, match="which cannot be read"):
            _ = model.fingerprint
        for _ in range(2):
            with pytest.warns(RuntimeWarning, match="m: its results are not stored"):
                swept = nrjax.sweep({"m": model}, *samples, store=tmp_path / "r.db", progress=False)
            assert swept.computed == 1
    finally:
        getattr(held, "close", lambda: None)()


@pytest.mark.parametrize("engine", ["inline", "local"])
def test_equal_models_are_computed_once(tmp_path, samples, engine):
    models = {f"m{i}": Linear(i % 2, marks=str(tmp_path)) for i in range(6)}
    swept = nrjax.sweep(models, *samples, store=tmp_path / "r.db", engine=engine, progress=False)
    assert (swept.computed, swept.stored, len(swept.ranking.order)) == (2, 4, 6)
    assert len((tmp_path / "passes").read_text().split()) == 2
    assert len(set(swept.ranking.scores.values())) == 2
