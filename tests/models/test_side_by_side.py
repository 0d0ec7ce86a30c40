"""Sources of every kind in one ranking, each with the value that its framework gives, for a target each can take."""

import jax
import numpy as np
import pytest

import nrjax
from tests.models import sources
from tests.models.test_parts import save_clip

X, T, Y = sources.images(24), sources.texts(24), np.arange(24) % 4


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    for package in ("torch", "transformers", "timm", "onnxruntime", "equinox"):
        pytest.importorskip(package, exc_type=ImportError)
    place = tmp_path_factory.mktemp("all")
    sources.save_bert(place / "encoder", 0)
    save_clip(place / "clip", place / "encoder")
    (place / "runs").mkdir()
    sources.timm(place / "runs")
    return place


def test_images(here, monkeypatch):
    import equinox
    import torch

    monkeypatch.chdir(here)
    network = sources.torch_network().eval()
    sizes = ({0: torch.export.Dim("batch", min=1, max=4096)},)
    program = torch.export.export(network, (torch.zeros(2, 3, 32, 32),), dynamic_shapes=sizes)
    torch.export.save(program, here / "net.pt2")
    keys = jax.random.split(jax.random.key(0))
    module = equinox.nn.Sequential([
        equinox.nn.Conv2d(3, 6, 3, key=keys[0]), equinox.nn.Lambda(lambda x: x.mean((1, 2))),
        equinox.nn.Linear(6, 4, key=keys[1]),
    ])  # fmt: skip
    models = {"runs": "timm:runs/*", "clip": "hf:clip", "program": "torch:net.pt2", "equinox": module}
    ranking = nrjax.rank(models, X, Y, scores="silhouette", progress=False)
    assert not ranking.failed
    assert set(ranking.order) == {"runs", "clip", "program", "equinox"}
    alone = {
        "program": nrjax.from_torch(network, input_shape=(32, 32, 3)), "equinox": module, "clip": "hf:clip",
        "runs": "timm:runs/timm0",
    }  # fmt: skip
    features = {name: nrjax.extract_features(model, X) for name, model in alone.items()}
    expected = nrjax.rank_batch(features, Y).scores
    assert ranking.scores == pytest.approx(expected, abs=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_texts(here, monkeypatch):
    import torch
    import transformers

    monkeypatch.chdir(here)
    network = transformers.AutoModel.from_pretrained("encoder", add_pooling_layer=False).eval()

    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, tokens, mask):
            return self.network(input_ids=tokens, attention_mask=mask).last_hidden_state

    names = ["input_ids", "attention_mask"]
    given = transformers.AutoTokenizer.from_pretrained("encoder")(["red cat", "dog"], padding=True, return_tensors="pt")
    torch.onnx.export(
        Plain().eval(), tuple(given[name] for name in names), here / "encoder" / "net.onnx", input_names=names,
        dynamo=False, output_names=["last_hidden_state"],
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in names},
    )  # fmt: skip
    models = {"encoder": "hf:encoder", "onnx": "onnx:encoder/net.onnx", "clip": "hf:clip"}
    ranking = nrjax.rank(models, T, Y, scores="silhouette", progress=False)
    assert not ranking.failed
    assert set(ranking.order) == set(models)
    assert ranking.scores["encoder"] == pytest.approx(ranking.scores["onnx"], abs=1e-4)
