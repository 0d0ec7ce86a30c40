"""Files of PyTorch: exported programs and TorchScript without a pickle, weights with a builder of the user's own."""

import json
import shutil
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner

import nrjax
from nrjax.cli import main
from nrjax.models import load_candidates
from tests.models import sources

pytest.importorskip("torch", exc_type=ImportError)
import torch

X, Y = sources.images(24), np.arange(24) % 4
BUILDER = "import torch\nfrom tests.models import sources\n\n\ndef build():\n    return sources.torch_network(7)\n"


class Residual(torch.nn.Module):
    """A block with what exporters make of it: constants, slices, an addition in place, sizes of the input."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 8, 3, padding=1)
        self.norm, self.head = torch.nn.BatchNorm2d(8), torch.nn.Linear(16, 4)
        self.register_buffer("scale", torch.linspace(0.5, 1.5, 8))
        self.norm.running_mean += 0.2

    def forward(self, x):
        x = torch.nn.functional.gelu(self.first(x), approximate="tanh")
        y = self.norm(self.second(x))
        y += x
        y = y * self.scale[:, None, None] + torch.arange(x.shape[-1], dtype=x.dtype)
        halves = torch.cat([half.mean((2, 3)) for half in y.chunk(2, dim=3)], dim=1)
        return self.head(torch.nn.functional.softmax(halves.reshape(x.shape[0], -1), dim=1))


def attention():
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(12, 2, 24, batch_first=True)
    return torch.nn.Sequential(
        torch.nn.Flatten(2), torch.nn.Linear(1024, 12), layer, torch.nn.Flatten(), torch.nn.Linear(36, 4)
    )


def residual():
    torch.manual_seed(0)
    return Residual()


NETWORKS = {"convolution": sources.torch_network, "residual": residual, "attention": attention}


def export(network, path, batch=5):
    sizes = ({0: torch.export.Dim("batch", min=1, max=4096)},) if batch == 5 else None
    program = torch.export.export(network.eval(), (torch.zeros(batch, 3, 32, 32),), dynamic_shapes=sizes)
    torch.export.save(program, path)


def answer(network):
    with torch.no_grad():
        return network.eval()(sources.channels_first(X)).numpy()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("decomposed", [False, True])
def test_exported_programs(name, decomposed, tmp_path):
    network = NETWORKS[name]()
    program = torch.export.export(
        network.eval(), (torch.zeros(5, 3, 32, 32),), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},)
    )
    torch.export.save(program.run_decompositions() if decomposed else program, tmp_path / "net.pt2")
    model = nrjax.load_model(f"torch:{tmp_path / 'net.pt2'}")
    assert np.allclose(nrjax.extract_features(model, X, "output"), answer(network), atol=1e-5)
    with torch.no_grad():
        theirs = torch.export.load(tmp_path / "net.pt2").module()(sources.channels_first(X).contiguous())
    assert np.allclose(nrjax.extract_features(model, X, "output"), theirs, atol=1e-5)
    live = nrjax.extract_features(nrjax.from_torch(network, input_shape=(32, 32, 3)), X)
    assert np.allclose(nrjax.extract_features(model, X), live, atol=1e-5)  # what the head reads
    assert model.description.parameters == sum(p.numel() for p in network.parameters())


def test_inner_layers_and_the_fingerprint(tmp_path):
    network = sources.torch_network()
    export(network, tmp_path / "net.pt2")
    model = nrjax.load_model(f"torch:{tmp_path / 'net.pt2'}")
    names = [layer.name for layer in model.layers()]
    assert names[:3] == ["input", "conv2d", "relu_"]
    with torch.no_grad():
        expected = network[0](sources.channels_first(X)).reshape(24, -1).numpy()
    assert np.allclose(nrjax.extract_features(model, X, "conv2d"), expected, atol=1e-5)
    export(sources.torch_network(), tmp_path / "same.pt2")
    export(sources.torch_network(1), tmp_path / "other.pt2")
    same, other = (nrjax.load_model(f"torch:{tmp_path / name}.pt2").fingerprint for name in ("same", "other"))
    assert same == model.fingerprint != other


def test_a_program_of_one_batch_size(tmp_path):
    export(sources.torch_network(), tmp_path / "net.pt2", batch=3)
    model = nrjax.load_model(f"torch:{tmp_path / 'net.pt2'}")
    assert model.batch == 3
    assert np.allclose(nrjax.extract_features(model, X[:10], "output"), answer(sources.torch_network())[:10], atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.parametrize("make", [torch.jit.script, lambda net: torch.jit.trace(net, torch.zeros(2, 3, 32, 32))])
def test_torchscript(make, tmp_path):
    network = sources.torch_network().eval()
    make(network).save(str(tmp_path / "net.pt"))
    model = nrjax.load_model(f"torch:{tmp_path / 'net.pt'}", image_size=32)
    assert np.allclose(nrjax.extract_features(model, sources.images(24), "output"), answer(network), atol=1e-5)
    assert model.inputs.shape == (32, 32, 3)
    with pytest.raises(ValueError, match=r"TorchScript or exported program is not known.*Take layer='output'"):
        nrjax.extract_features(model, X)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    import safetensors.torch

    safetensors.torch.save_file(sources.torch_network().state_dict(), tmp_path / "net.safetensors")
    (tmp_path / "builders.py").write_text(BUILDER)
    monkeypatch.chdir(tmp_path)
    return "torch:net.safetensors"


def test_weights_with_a_builder(weights):
    live = nrjax.extract_features(nrjax.from_torch(sources.torch_network()), X)
    for builder in (lambda: sources.torch_network(7), "builders:build"):
        assert np.allclose(nrjax.extract_features(nrjax.load_model(weights, builder=builder), X), live, atol=1e-6)
    ranking = nrjax.rank({"file": weights, "live": sources.torch_network()}, X, Y, builder="builders:build",
                         progress=False, scores="silhouette")  # fmt: skip
    assert ranking.scores["file"] == pytest.approx(ranking.scores["live"], abs=1e-6)


def test_the_command_and_worker_processes_take_a_builder(weights, tmp_path):
    np.savez(tmp_path / "data.npz", images=X, labels=Y)
    words = [weights, "--data", "data.npz", "--builder", "builders:build", "--scores", "silhouette", "--format", "json"]
    done = CliRunner().invoke(main, ["rank", *words])
    assert done.exit_code == 0, done.output
    swept = CliRunner().invoke(main, ["sweep", *words, "--engine", "local", "--progress", "none"])
    assert swept.exit_code == 0, swept.output
    assert [json.loads(result.stdout)["models"][0]["score"] for result in (done, swept)] == pytest.approx(
        [nrjax.rank({"live": sources.torch_network()}, X, Y, progress=False, scores="silhouette").scores["live"]] * 2,
        abs=1e-5,
    )


def test_the_command_lists_layers_of_weights_with_a_builder(weights):
    words = ["layers", weights, "--builder", "builders:build", "--image-size", "32", "--format", "csv"]
    listed = CliRunner().invoke(main, words)
    assert "output,4,4" in listed.stdout, listed.output


def test_a_file_names_no_builder(weights, tmp_path):
    (tmp_path / "list.toml").write_text(f'[[models]]\nmodel = "{weights}"\nbuilder = "builders:build"\n')
    with pytest.raises(ValueError, match="'builder', which is no field"):
        load_candidates("list.toml")


NEARLY = {
    "no builder": (None, "weights alone are no network; say what builds it, builder='module:function'"),
    "no function": ("builders", "builder must be module:function; got 'builders'"),
    "no module": ("nowhere:build", "builder nowhere:build cannot be imported: ModuleNotFoundError"),
    "another network": (attention, "its weights do not fit what the builder returns: missing 1.weight"),
    "other sizes": (lambda: torch.nn.Sequential(torch.nn.Conv2d(3, 7, 3)), "its weights do not fit: size mismatch"),
    "no network": (lambda: 3, "the builder must return a torch.nn.Module; got int"),
    "fails": (lambda: 1 / 0, "the builder failed: ZeroDivisionError"),
}


@pytest.mark.parametrize("case", NEARLY)
def test_nearly_right(case, weights):
    builder, told = NEARLY[case]
    with pytest.raises(ValueError, match=told) as error:
        nrjax.load_model(weights, builder=builder)
    assert "\n" not in str(error.value)


def rewrite(path, change):
    """An exported program with another graph."""
    other = path.with_name("changed.pt2")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(other, "w") as written:
        for name in archive.namelist():
            content = archive.read(name)
            written.writestr(name, change(name, content))
    return other


ATTACKS = {
    "a function of PyTorch": ("torch.ops.aten.relu_.default", "torch.hub.load", "its operation torch.hub.load is none"),
    "a file": (
        '"torch.ops.aten.relu_.default", "inputs": [',
        '"torch.ops.aten.from_file.default", "inputs": [{"name": '
        '"filename", "arg": {"as_string": "/etc/passwd"}, "kind": 1}, ',
        "passes as_string as filename",
    ),
    "another library": ("torch.ops.aten.relu_.default", "torch.ops.image.read_file.default", "none of PyTorch's own"),
    "an operator": ("torch.ops.aten.relu_.default", "_operator.attrgetter", "none of PyTorch's own"),
    "an attribute": ("torch.ops.aten.relu_.default", "torch.ops.aten.relu_.__class__", "none of PyTorch's own"),
    "a text": ('"as_float": 1e-05', '"as_string": "/etc/passwd"', "passes as_string as eps"),
}


@pytest.mark.parametrize("case", ATTACKS)
def test_programs_reach_nothing_else(case, tmp_path):
    before, after, told = ATTACKS[case]
    export(sources.torch_network(), tmp_path / "net.pt2")

    def change(name, content):
        if name.endswith("model.json"):
            assert before.encode() in content
        return content.replace(before.encode(), after.encode()) if name.endswith("model.json") else content

    with pytest.raises(ValueError, match=told) as error:
        nrjax.extract_features(f"torch:{rewrite(tmp_path / 'net.pt2', change)}", X)
    assert "\n" not in str(error.value)


def test_pickled_weights_of_programs_are_refused(tmp_path):
    export(sources.torch_network(), tmp_path / "net.pt2")
    change = lambda name, content: content.replace(b'"use_pickle": false', b'"use_pickle": true')  # noqa: E731
    with pytest.raises(ValueError, match="is pickled, and a pickle may run any program"):
        nrjax.load_model(f"torch:{rewrite(tmp_path / 'net.pt2', change)}")
    cut = lambda name, content: b"" if "weight_0" in name else content  # noqa: E731
    with pytest.raises(ValueError, match="it is damaged, or of a release that nrjax does not know"):
        nrjax.load_model(f"torch:{rewrite(tmp_path / 'net.pt2', cut)}")


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_other_files(tmp_path):
    network = sources.torch_network()
    torch.save(network, tmp_path / "pickle.pt")
    torch.save(network.state_dict(), tmp_path / "state.pth")
    shutil.copy(__file__, tmp_path / "text.pt2")

    class Writes(torch.nn.Module):
        def forward(self, x):
            torch.save(x, "written")
            return x

    torch.jit.script(Writes()).save(str(tmp_path / "writes.pt"))
    for name, told in {
        "pickle.pt": "it is a pickle, which may run any program", "state.pth": "it is a pickle",
        "text.pt2": "neither an exported program, TorchScript nor .safetensors",
        "writes.pt": r"its TorchScript calls torch\.save, which reaches beyond the network",
        "gone.pt2": "is not there",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=told) as error:
            nrjax.load_model(f"torch:{tmp_path / name}")
        assert "\n" not in str(error.value)
    export(network, tmp_path / "net.pt2")
    with pytest.raises(ValueError, match=r"builder is of weights in .safetensors; leave it out"):
        nrjax.load_model(f"torch:{tmp_path / 'net.pt2'}", builder=sources.torch_network)
    with pytest.raises(ValueError, match="builder is of models of torch:; leave it out"):
        nrjax.load_model("onnx:x.onnx", builder=sources.torch_network)
