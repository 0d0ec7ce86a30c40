"""Live PyTorch modules in states that training leaves them in: switches of the caller, no weights yet, no classes."""

import numpy as np
import pytest

import nrjax
from nrjax import extract_features

torch = pytest.importorskip("torch")

PICTURES = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3)).astype(np.uint8)
BATCH = torch.from_numpy(PICTURES.transpose(0, 3, 1, 2)).float() / 255


def network():
    torch.manual_seed(0)
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(392, 16), nn.ReLU(), nn.Linear(16, 4)
    )


def test_autocast_of_the_caller_rounds_nothing():
    module = network().eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = extract_features(module, PICTURES)
        assert torch.is_autocast_enabled("cpu")
    np.testing.assert_allclose(features, module[:5](BATCH).detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("empty", ["0.weight", "5.bias"])
def test_weights_without_values(empty):
    module = network().eval()
    parent, name = module[int(empty[0])], empty[2:]
    setattr(parent, name, torch.nn.Parameter(getattr(parent, name).to("meta")))
    ranking = nrjax.rank({"empty": module, "whole": network()}, PICTURES, [0, 1] * 3, progress=False)
    assert ranking.order == ["whole"]
    assert ranking.failed["empty"].startswith(
        "1 of its weights lie on the device 'meta', which holds no values (" + empty
    )


def test_a_live_network_of_transformers_lacks_its_processor():
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    module = transformers.ViTForImageClassification(transformers.ViTConfig(**sizes, image_size=16, patch_size=8))
    with pytest.warns(RuntimeWarning, match="whose image processor says a preprocessing; images are scaled to"):
        extract_features(module, PICTURES)
    extract_features((module, transformers.ViTImageProcessor(size={"height": 16, "width": 16})), PICTURES)
    with pytest.raises(ValueError, match=r"give the shape that it takes, nrjax.from_torch\(module, input_shape"):
        extract_features(nrjax.from_torch(module, preprocessing=nrjax.Preprocessing()), PICTURES[:, :9])


def test_a_classifier_of_transformers_without_classes(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.SwinConfig(
        image_size=16, patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4, num_labels=0
    )
    module = transformers.SwinForImageClassification(config).eval()
    processor = transformers.ViTImageProcessor(size={"height": 16, "width": 16})
    for part in (module, processor):
        part.save_pretrained(tmp_path)
    with torch.inference_mode():
        right = module(processor(list(PICTURES), return_tensors="pt")["pixel_values"]).logits.numpy()
    np.testing.assert_allclose(extract_features(f"hf:{tmp_path}", PICTURES), right, atol=1e-5)


def test_a_compiled_module_runs_as_the_program_and_has_the_layers_of_the_module():
    graphs = []

    def backend(graph, example):
        graphs.append(graph)
        return graph.forward

    module = network().eval()
    compiled = nrjax.from_torch(torch.compile(module, backend=backend), input_shape=(16, 16, 3))
    plain = nrjax.from_torch(module, input_shape=(16, 16, 3))
    assert compiled.layers() == plain.layers()
    before = len(graphs)
    np.testing.assert_allclose(extract_features(compiled, PICTURES), extract_features(plain, PICTURES), atol=1e-6)
    assert len(graphs) > before
    np.testing.assert_allclose(extract_features(compiled, PICTURES, "3"), module[:4](BATCH).detach(), atol=1e-6)
