"""What makes sweeps fast: the next model is read meanwhile, equal architectures compile once, devices are shared."""

import threading

import jax

import nrjax
from nrjax.models import Candidates
from nrjax.models._candidates import Candidate
from nrjax.sweeps._worker_process import _environment
from tests.sweeps.faulty import Linear


class Waiting(Linear):
    """Its forward pass waits until the next model is being read."""

    def __init__(self, seed, next_is_read):
        super().__init__(seed)
        self._next_is_read = next_is_read

    def outputs(self, batch, layers, precision="float32"):
        assert self._next_is_read.wait(60), "nobody reads the next model meanwhile"
        return super().outputs(batch, layers, precision)


def test_the_next_model_is_read_while_one_runs(samples):
    events = [threading.Event() for _ in range(4)]
    events[-1].set()  # nothing comes after the last one

    def load(i):
        def read():
            if i:
                events[i - 1].set()
            return Waiting(i, events[i])

        return read

    candidates = Candidates([Candidate(f"m{i}", load(i), key="", source="here") for i in range(4)])
    swept = nrjax.sweep(candidates, *samples, engine="inline", progress=False)
    assert (sorted(swept.ranking.scores), swept.failed) == (["m0", "m1", "m2", "m3"], {})


def test_equal_architectures_compile_once(tmp_path, save_tiny, tiny_images):
    for seed in range(4):
        save_tiny(tmp_path / ("first" if seed == 0 else "others"), f"m{seed}", seed)
    nrjax.sweep(tmp_path / "first", *tiny_images, engine="inline", progress=False)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: compiled.append(event) if event.endswith("backend_compile_duration") else None
    )
    swept = nrjax.sweep(tmp_path / "others", *tiny_images, engine="inline", progress=False)
    assert len(swept.ranking.scores) == 3
    assert not compiled


def test_compiled_programs_and_devices_of_workers(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    ours = [_environment(tmp_path, device) for device in (0, 1, None)]
    assert len({one["JAX_COMPILATION_CACHE_DIR"] for one in ours}) == 1
    assert [one.get("CUDA_VISIBLE_DEVICES") for one in ours] == ["0", "1", None]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert [_environment(tmp_path, device)["CUDA_VISIBLE_DEVICES"] for device in (0, 1)] == ["3", "5"]


def test_several_workers_give_what_one_gives(tmp_path, samples):
    models = {f"m{seed}": Linear(seed, marks=str(tmp_path)) for seed in range(6)}
    alone = nrjax.rank(models, *samples, progress=False)
    (tmp_path / "passes").unlink()
    swept = nrjax.sweep(models, *samples, engine="local", workers=2, progress=False)
    assert swept.ranking.scores == alone.scores
    assert sorted((tmp_path / "passes").read_text().split()) == [str(seed) for seed in range(6)]  # each once
