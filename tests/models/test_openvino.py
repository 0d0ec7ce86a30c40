"""Files of OpenVINO: what the network that was converted gives by its own framework."""

import numpy as np
import pytest

import nrjax
from tests.models import sources

X = sources.images(24)
pytestmark = pytest.mark.filterwarnings("ignore")  # of converters


@pytest.fixture(scope="module")
def openvino():
    pytest.importorskip("torch", exc_type=ImportError)
    return pytest.importorskip("openvino", reason="openvino is not installed")


@pytest.fixture(scope="module")
def file(openvino, tmp_path_factory):
    """A convolutional network with weights in float32, and in float16."""
    import torch

    place, network = tmp_path_factory.mktemp("openvino"), sources.torch_network().eval()
    converted = openvino.convert_model(torch.export.export(network, (torch.zeros(2, 3, 32, 32),), dynamic_shapes=(
        {0: torch.export.Dim("batch", min=1, max=4096)},)), input=[-1, 3, 32, 32])  # fmt: skip
    openvino.save_model(converted, place / "net.xml", compress_to_fp16=False)
    openvino.save_model(converted, place / "half.xml", compress_to_fp16=True)
    return place / "net.xml"


def torch_values():
    import torch

    network = sources.torch_network().eval()
    with torch.no_grad():
        batch = sources.channels_first(X)
        return network[0](batch).numpy(), network[:-1](batch).numpy(), network(batch).numpy()


def test_values(file):
    maps, hidden, logits = torch_values()
    model = nrjax.load_model(f"openvino:{file}")
    np.testing.assert_allclose(nrjax.extract_features(model, X), hidden, atol=1e-5)
    np.testing.assert_allclose(nrjax.extract_features(model, X, -1), logits, atol=1e-5)
    listed = nrjax.layers(model)
    assert listed[0].shape == (3, 32, 32)
    name = next(layer.name for layer in listed if layer.shape == (6, 30, 30))
    both = nrjax.extract_features(model, X, ["penultimate", name])
    assert both[name].shape == (24, 5400)
    assert np.abs(both[name].reshape(maps.shape) - maps).max() < 1  # a bias may be added after it
    half = nrjax.load_model(f"openvino:{file.with_name('half.xml')}")
    np.testing.assert_allclose(nrjax.extract_features(half, X), hidden, atol=1e-2)
    assert half.fingerprint != model.fingerprint
    assert model.description.parameters >= 6 * 27 + 6 * 4


def test_a_network_that_scales_its_images_gets_bytes(openvino, tmp_path):
    import torch

    network = sources.torch_network().eval()

    class Scaling(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network(x / 255)

    openvino.save_model(openvino.convert_model(Scaling(), example_input=torch.zeros(2, 3, 32, 32)),
                        tmp_path / "net.xml", compress_to_fp16=False)  # fmt: skip
    with pytest.warns(
        RuntimeWarning, match=r"Converters merge a scaling into the first weights.* pass preprocessing=Preproc"
    ):
        nrjax.extract_features(f"openvino:{tmp_path / 'net.xml'}", X)
    model = nrjax.load_model(f"openvino:{tmp_path / 'net.xml'}", preprocessing=nrjax.Preprocessing(scale=1.0))
    np.testing.assert_allclose(nrjax.extract_features(model, X), torch_values()[1], atol=1e-5)


def test_beside_others_and_swept(file, tmp_path):
    models = {"openvino": f"openvino:{file}", "live": sources.torch_network()}
    ranking = nrjax.rank(models, X, np.arange(24) % 4, scores=("silhouette", "leep"), progress=False)
    assert ranking["openvino"].score == pytest.approx(ranking["live"].score, abs=1e-4)
    options = {"scores": "silhouette", "store": tmp_path / "r.db", "progress": False}
    swept = [nrjax.sweep(models["openvino"], X, np.arange(24) % 4, **options) for _ in range(2)]
    assert [sweep.computed for sweep in swept] == [1, 0]


def test_nearly_right(openvino, file, tmp_path):
    import torch

    class Two(torch.nn.Module):
        def forward(self, left, right):
            return left + right

    two = openvino.convert_model(torch.export.export(Two(), (torch.zeros(2, 3), torch.ones(2, 3))))
    openvino.save_model(two, tmp_path / "two.xml")
    (tmp_path / "alone.xml").write_bytes(file.read_bytes())
    (tmp_path / "damaged.xml").write_text("<net")
    (tmp_path / "damaged.bin").write_bytes(b"")
    for name, told in {
        "two.xml": r"expected one input, images or arrays; it takes 2 \(left, right\)", "alone.xml": "alone.bin is not",
        "damaged.xml": "it is damaged, or OpenVINO cannot run it", "net.bin": "expected the file .xml",
        "gone.xml": "gone.xml is not there",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=told) as error:
            nrjax.load_model(f"openvino:{tmp_path / name}")
        assert "\n" not in str(error.value)


def test_without_openvino(tmp_path, monkeypatch):
    import sys

    for suffix in ("xml", "bin"):
        (tmp_path / f"net.{suffix}").write_text("")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(nrjax.models.MissingFramework, match="openvino"):
        nrjax.load_model(f"openvino:{tmp_path / 'net.xml'}")
