"""Causes that a program may want to handle apart: each has its class, one line, and is a ValueError."""

import sys
import wave

import numpy as np
import pytest

import nrjax
from nrjax import errors


def _broken_image(folder):
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "1.png").write_bytes(b"no picture")
    nrjax.load_dataset(folder)


def _broken_recording(folder):
    pytest.importorskip("soundfile")
    for name in ("a", "b"):
        (folder / name).mkdir()
        with wave.open(str(folder / name / "1.wav"), "wb") as file:  # of no length
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
    nrjax.load_dataset(folder)


def _broken_weights(folder):
    (folder / "F10.safetensors").write_bytes(b"no weights")
    nrjax.models.load_variables(folder / "F10.safetensors", {"dense": np.zeros(3)})


def _missing_framework(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "timm", None)
        nrjax.load_model("timm:resnet18")


def _store(folder):
    (folder / "results.db").write_bytes(b"SQLite format 3\0" + bytes(4096))
    rows = np.random.default_rng(0).normal(size=(20, 4))
    nrjax.sweep({"rows": nrjax.from_embedder(lambda x: x, "array")}, rows, [0, 1] * 10, store=folder / "results.db")


def _zoo(folder):
    (folder / "model").mkdir()
    (folder / "model" / "model.json").write_text("{")
    nrjax.load_zoo(folder)["model"]


def _layer(folder):
    zoo, images, _ = nrjax.load_demo()
    nrjax.extract_features(zoo["F10"], images[:4], layer="attention")


@pytest.mark.parametrize(
    ("raised_as", "cause"),
    [
        (errors.BrokenImage, _broken_image),
        (errors.BrokenRecording, _broken_recording),
        (errors.CheckpointError, _broken_weights),
        (errors.MissingFramework, _missing_framework),
        (errors.StoreError, _store),
        (errors.ZooError, _zoo),
        (errors.LayerError, _layer),
    ],
)
def test_a_cause_has_its_class(raised_as, cause, tmp_path):
    with pytest.raises(raised_as) as raised:
        cause(tmp_path)
    assert isinstance(raised.value, nrjax.NrjaxError)
    assert isinstance(raised.value, ValueError)
    assert "\n" not in str(raised.value)


def test_all_are_of_one_family():
    assert all(issubclass(getattr(errors, name), nrjax.NrjaxError) for name in errors.__all__)
