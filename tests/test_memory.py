import jax
import numpy as np
import pytest

import nrjax
from nrjax._utils import memory
from nrjax._utils.memory import Staging, aligned_empty, in_slices, models_that_fit
from nrjax.scoring import compute, silhouettes
from tests.oracles import blobs


def test_staging_never_writes_where_it_does_not_own():
    staging = Staging()
    ready = aligned_empty((20, 16), np.float32)
    ready[:] = 7
    assert staging(ready, np.float32) is ready
    other = np.arange(20 * 16, dtype=np.float32).reshape(20, 16)[:, ::-1]  # never as JAX wants it
    staged = staging(other, np.float32)
    np.testing.assert_array_equal(staged, other)
    np.testing.assert_array_equal(ready, 7)
    again = staging(other[:, :5], np.float32)
    assert np.shares_memory(again, staged)  # the same memory again
    np.testing.assert_array_equal(again, other[:, :5])


def test_staged_arrays_are_used_without_a_copy():
    staged = Staging()(np.ones((30, 5), np.float64), np.float32)
    assert staged.dtype == np.float32
    if jax.default_backend() == "cpu":
        assert jax.device_put(staged).unsafe_buffer_pointer() == staged.ctypes.data


@pytest.mark.parametrize("dims", [33, 256, 300])
def test_scoring_leaves_the_callers_arrays_alone(dims):
    """Models in one stack are aligned or not, as their size has it."""
    stack = np.stack([blobs(61, dims, 3, seed=seed)[0] for seed in range(4)])
    before, labels = stack.copy(), blobs(61, dims, 3)[1]
    nrjax.score_batch(stack, labels)
    nrjax.rank_batch({str(i): model for i, model in enumerate(stack)}, labels)
    np.testing.assert_array_equal(stack, before)


def test_a_slice_out_of_memory_is_halved_and_said_once():
    tried = []

    def run(piece):
        tried.append(len(piece))
        if len(piece) > 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return piece * 10

    with pytest.warns(RuntimeWarning, match="8 models at once do not fit") as warned:
        done = in_slices(run, np.arange(11), 8)
    assert len(warned) == 1
    np.testing.assert_array_equal(np.concatenate([result for _, result in done]), np.arange(11) * 10)
    assert tried == [8, 4, 2, 2, 2, 2, 2, 1]


@pytest.mark.parametrize("message", ["RESOURCE_EXHAUSTED: even one", "INTERNAL: something else"])
def test_what_a_smaller_slice_cannot_mend_is_raised(message):
    def run(piece):
        raise jax.errors.JaxRuntimeError(message)

    with pytest.raises(jax.errors.JaxRuntimeError, match=message):
        in_slices(run, np.arange(3), 1 if "one" in message else 2)


def test_batches_out_of_memory_give_the_same_scores(monkeypatch):
    """The real path, on a device that takes two models at once."""
    stack = np.stack([blobs(300, 200, 3, seed=seed)[0] for seed in range(7)])
    labels = blobs(300, 200, 3)[1]
    alone = nrjax.score_batch(stack, labels)
    tried = []

    def small_device(stack, array, place, real=compute._put):
        tried.append(len(stack))
        if len(stack) > 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return real(stack, array, place)

    monkeypatch.setattr(silhouettes, "one_by_one", lambda: False)
    monkeypatch.setattr(compute, "_put", small_device)
    with pytest.warns(RuntimeWarning, match="going on with fewer"):
        np.testing.assert_allclose(nrjax.score_batch(stack, labels), alone, atol=2e-6)
    assert [tried[0], tried[-1]] == [8, 1]  # seven and one more, then two at a time, and the seventh


def test_slices_follow_the_memory_there_is(monkeypatch):
    class Device:
        def memory_stats(self):
            return {"bytes_limit": 100 << 20, "bytes_in_use": 20 << 20}

    monkeypatch.setattr(jax, "local_devices", lambda: [Device()])
    assert models_that_fit(1 << 20) == 32  # 80 MiB, at twice the features each: 40, so 32
    assert models_that_fit(1 << 40) == 1
    monkeypatch.setattr(Device, "memory_stats", lambda self: None)
    assert models_that_fit(memory.UNKNOWN_MEMORY // 4) == 2


@pytest.mark.parametrize("own", [None, *memory.OWN_SETTINGS])
def test_devices_are_shared_unless_the_user_says_otherwise(monkeypatch, own):
    for name in memory.OWN_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    if own:
        monkeypatch.setenv(own, "0.5")
    before = memory.os.environ.copy()
    with memory.shared_devices:
        assert memory.os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE") == ("0.5" if own == memory.OWN_SETTINGS[0] else
                                                                          None if own else "false")  # fmt: skip
    assert memory.os.environ == before
    monkeypatch.delenv(memory.OWN_SETTINGS[0], raising=False)
