"""Live PyTorch modules as people hold them: switches of the caller, no weights yet, half precision, parts compiled."""

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


@pytest.mark.parametrize("end", ["Softmax", "LogSoftmax", "Sigmoid"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "autocast"])
def test_half_precision_that_ends_in_probabilities(dtype, end):
    last = getattr(torch.nn, end)(*([] if end == "Sigmoid" else [1]))
    module = torch.nn.Sequential(*network(), last).eval()
    right = module[:5](BATCH).detach().numpy()
    if dtype == "autocast":
        features = extract_features(module, PICTURES, precision="bfloat16")
    else:
        features = extract_features(module.to(getattr(torch, dtype)), PICTURES)
    np.testing.assert_allclose(features, right, atol=0.02 * np.abs(right).max())


@pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated")
def test_programs_within_modules():
    module = network().eval()
    right = module[:5](BATCH).detach().numpy()
    scripted = torch.nn.Sequential(torch.jit.script(module[:5]), module[5])
    np.testing.assert_allclose(extract_features(scripted, PICTURES), right, atol=1e-6)
    ends_in_program = torch.nn.Sequential(module[:5], torch.jit.script(module[5]))
    with pytest.raises(nrjax.errors.LayerError, match="penultimate layer of a TorchScript or exported program"):
        extract_features(ends_in_program, PICTURES)
    np.testing.assert_allclose(extract_features(ends_in_program, PICTURES, "0"), right, atol=1e-6)


class Shifted(torch.nn.Module):
    def __init__(self, factor, offset):
        super().__init__()
        self.body, self.factor, self.offset = network(), factor, offset

    def forward(self, x):
        return self.body(self.factor * x + self.offset)


@pytest.mark.parametrize(("factor", "offset"), [(1 / 255, 0.0), (2 / 255, -1.0), (1.0, -120.0)])
def test_a_network_that_scales_images_says_so(factor, offset):
    module = Shifted(factor, offset).eval()
    with pytest.warns(RuntimeWarning, match=r"as networks of images from 0 to 255 do.*Preprocessing\(scale=1\)"):
        extract_features(module, PICTURES)
    raw = torch.from_numpy(PICTURES.transpose(0, 3, 1, 2)).float()
    right = module.body[:5](factor * raw + offset).detach().numpy()
    told = nrjax.from_torch(module, preprocessing=nrjax.Preprocessing(scale=1))
    np.testing.assert_allclose(extract_features(told, PICTURES), right, atol=1e-4)


@pytest.mark.parametrize(("factor", "offset"), [(1.0, 0.0), (2.0, -1.0), (4.4, -2.1)])
def test_a_network_that_normalises_images_says_nothing(factor, offset):
    module = Shifted(factor, offset).eval()
    right = module.body[:5](factor * BATCH + offset).detach().numpy()
    np.testing.assert_allclose(extract_features(module, PICTURES), right, atol=1e-5)


def test_networks_of_torchvision_say_whose_preprocessing_is_missing():
    torchvision = pytest.importorskip("torchvision", exc_type=ImportError)
    module = torchvision.models.squeezenet1_1(weights=None)
    with pytest.warns(RuntimeWarning, match=r"of torchvision, whose weights.transforms\(\) says a preprocessing"):
        extract_features(module, np.repeat(np.repeat(PICTURES, 3, 1), 3, 2))
    preprocessing = nrjax.Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), image_size=48)
    extract_features(nrjax.from_torch(module, preprocessing=preprocessing), PICTURES)


def test_a_compiled_network_of_timm():
    timm = pytest.importorskip("timm", exc_type=ImportError)
    module = timm.create_model("resnet10t", pretrained=False)
    compiled = torch.compile(module, backend="eager")
    np.testing.assert_allclose(extract_features(compiled, PICTURES), extract_features(module, PICTURES), atol=1e-5)


def test_a_compiled_network_of_transformers_with_its_processor():
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    module = transformers.ViTModel(transformers.ViTConfig(image_size=16, patch_size=8, **sizes)).eval()
    processor = transformers.ViTImageProcessor(size={"height": 16, "width": 16})
    right = module(**processor(list(PICTURES), return_tensors="pt")).last_hidden_state[:, 0].detach().numpy()
    compiled = torch.compile(module, backend="eager")
    np.testing.assert_allclose(extract_features((compiled, processor), PICTURES), right, atol=1e-5)


def test_four_frames_before_height_and_width():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8 * 14 * 14, 3)).eval()
    frames = np.random.default_rng(0).integers(0, 256, (6, 4, 16, 16)).astype(np.uint8)
    right = module[:2](torch.from_numpy(frames).float() / 255).detach().numpy()
    np.testing.assert_allclose(extract_features(module, frames), right, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.int64, np.int32])
def test_ids_of_tokens(dtype):
    torch.manual_seed(0)
    nn = torch.nn
    module = nn.Sequential(nn.Embedding(50, 8), nn.Flatten(), nn.Linear(96, 3)).eval()
    ids = np.random.default_rng(0).integers(0, 50, (10, 12)).astype(dtype)
    right = module[:2](torch.from_numpy(ids)).detach().numpy()
    np.testing.assert_allclose(extract_features(module, ids), right, atol=1e-6)


def test_answers_without_numbers_are_refused():
    class Chosen(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = network()

        def forward(self, x):
            return self.body(x).argmax(1)

    with pytest.raises(ValueError, match="answers with Tensor, in which there is no tensor of floating-point numbers"):
        extract_features(Chosen(), PICTURES)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # PEFT reads it
def test_a_network_in_which_there_are_adapters_with_its_tokenizer(tmp_path):
    peft = pytest.importorskip("peft", reason="PEFT is not installed")
    transformers = pytest.importorskip("transformers")
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"]))
    tokenizer = transformers.BertTokenizer(str(tmp_path / "vocab.txt"))
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    module = transformers.BertModel(transformers.BertConfig(vocab_size=8, **sizes))
    settings = peft.LoraConfig(r=2, target_modules=["query", "value"], init_lora_weights=False)
    adapted = peft.get_peft_model(module, settings).eval()
    texts = ["a b c", "b", "c a", "b b a c", "a", "c c"]
    rows = (adapted(**tokenizer(text, return_tensors="pt")).last_hidden_state[0] for text in texts)
    right = torch.stack([row.mean(0) for row in rows]).detach().numpy()
    np.testing.assert_allclose(extract_features((adapted, tokenizer), texts), right, atol=1e-5)
