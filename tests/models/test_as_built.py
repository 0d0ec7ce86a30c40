"""Networks that are built otherwise than their checkpoints: channels, sizes, teachers; and samples that mislead."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nrjax
from nrjax import extract_features

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (4, 40, 50, 3)).astype(np.uint8)


def right_of_timm(module, transform, pictures):
    torch = pytest.importorskip("torch")
    with torch.inference_mode():
        batch = torch.stack([transform(picture) for picture in pictures])
        return module.forward_head(module.forward_features(batch), pre_logits=True).numpy()


def test_grey_networks_of_timm():
    timm = pytest.importorskip("timm", exc_type=ImportError)
    module = timm.create_model("resnet10t", in_chans=1, pretrained=False).eval()
    data = timm.data.resolve_model_data_config(module)
    mean, std = (tuple([sum(data[name]) / 3]) for name in ("mean", "std"))
    transform = timm.data.create_transform(
        **data | {"input_size": (1, *data["input_size"][1:]), "mean": mean, "std": std}
    )
    grey = [Image.fromarray(picture).convert("L") for picture in PICTURES]
    right = right_of_timm(module, transform, grey)
    assert np.allclose(extract_features(module, PICTURES), right, atol=1e-4)
    assert np.allclose(
        extract_features(module, np.stack([np.asarray(picture) for picture in grey])[..., None]), right, atol=1e-4
    )


def test_networks_of_timm_of_another_size():
    timm = pytest.importorskip("timm", exc_type=ImportError)
    module = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=1, pretrained=False).eval()
    data = timm.data.resolve_model_data_config(module) | {"input_size": (3, 64, 64)}
    right = right_of_timm(module, timm.data.create_transform(**data), map(Image.fromarray, PICTURES))
    assert np.allclose(extract_features(module, PICTURES), right, atol=1e-4)


def test_more_channels_and_maps_alone_of_timm():
    timm = pytest.importorskip("timm", exc_type=ImportError)
    with pytest.raises(ValueError, match="takes 4 channels; prepare images yourself"):
        extract_features(timm.create_model("resnet10t", in_chans=4, pretrained=False), PICTURES)
    module = timm.create_model("resnet10t", features_only=True, pretrained=False).eval()
    assert nrjax.from_torch(module).inputs.preprocessing.startswith("timm ")
    with pytest.raises(ValueError, match="it has no penultimate layer; choose one of"):
        extract_features(module, PICTURES)


@pytest.mark.parametrize("kind", ["DeiT", "Levit"])
def test_classifiers_that_had_a_teacher(kind, tmp_path):
    """Of heads that read different tokens their mean, as timm has it; of heads that read the same vectors those."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    torch.manual_seed(0)
    if kind == "DeiT":
        config = transformers.DeiTConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32,
            patch_size=8, num_labels=3,
        )  # fmt: skip
        network = transformers.DeiTForImageClassificationWithTeacher(config).eval()
    else:
        sizes = {"hidden_sizes": [16, 24, 32], "num_attention_heads": [2] * 3, "depths": [1] * 3, "key_dim": [8] * 3}
        config = transformers.LevitConfig(image_size=64, num_labels=3, **sizes)
        network = transformers.LevitForImageClassificationWithTeacher(config).eval()
    for weight in network.parameters():  # tokens are zeros before they are trained
        torch.nn.init.normal_(weight, std=0.2)
    size = config.image_size
    processor = transformers.ViTImageProcessor(size={"height": size, "width": size})
    network.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    with torch.inference_mode():
        output = network.base_model(processor(list(PICTURES), return_tensors="pt")["pixel_values"])
    state = output.last_hidden_state
    right = (state[:, :2].mean(1) if kind == "DeiT" else state.mean(1)).numpy()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        features = extract_features(f"hf:{tmp_path}", PICTURES)
    assert np.allclose(features, right, atol=1e-5)
    assert any(
        "the mean of what cls_classifier and distillation_classifier read is taken" in str(w.message) for w in said
    ) == (kind == "DeiT")
    assert kind == "DeiT" or np.allclose(extract_features((network, processor), PICTURES), right, atol=1e-5)


def test_functions_that_pad_texts_are_found_out():
    vectors = {word: RNG.normal(size=4) for word in "abcdefgh"}
    texts = [" ".join(RNG.choice(list(vectors), size=n)) for n in RNG.integers(1, 40, 30)]

    def padded(texts):
        longest = max(len(text.split()) for text in texts)
        return np.stack([sum(vectors[word] for word in text.split()) / longest for text in texts])

    def alone(texts):
        return np.stack([np.mean([vectors[word] for word in text.split()], axis=0) for text in texts])

    assert extract_features(nrjax.from_embedder(alone, "text"), texts).shape == (30, 4)
    with pytest.raises(ValueError, match="mixes the samples of a batch"):
        extract_features(nrjax.from_embedder(padded, "text"), texts)


def test_names_of_files_are_no_texts(tmp_path):
    names = [str(tmp_path / f"{i}.png") for i in range(6)]
    for name in names:
        Image.new("RGB", (8, 8)).save(name)
    for given in (names, [*map(Path, names)]):
        with pytest.raises(ValueError, match=r"samples are names of files \(.*\), and no samples. Read the files"):
            nrjax.rank({"a": nrjax.from_embedder(lambda x: np.zeros((len(x), 2)))}, given, [0, 1] * 3)


def test_bytes_in_floating_point_are_said():
    torch = pytest.importorskip("torch")
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4800, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    pictures = PICTURES[:, :40, :40].astype(np.float32)
    with pytest.warns(RuntimeWarning, match="numbers from 0 to 255 in float32, which enter as they are"):
        extract_features(network, pictures)
    extract_features(network, pictures / 255)
    extract_features(network, pictures.astype(np.uint8))
    timm = pytest.importorskip("timm", exc_type=ImportError)
    with pytest.warns(RuntimeWarning, match="in floating point enter as they are, and are not normalised"):
        extract_features(timm.create_model("resnet10t", pretrained=False), pictures.transpose(0, 3, 1, 2) / 255)


@pytest.mark.parametrize("name", ["ResNet50", "MobileNetV2"])
def test_numbers_enter_networks_of_keras_as_they_are(name):
    keras = pytest.importorskip("keras")
    module = getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3), include_top=False, pooling="avg")
    folder = {"ResNet50": "resnet50", "MobileNetV2": "mobilenet_v2"}[name]
    pictures = PICTURES[:4, :32, :32]
    prepared = getattr(keras.applications, folder).preprocess_input(pictures.astype(np.float32))
    right = module.predict(prepared, verbose=0)
    for given in (pictures, prepared):
        np.testing.assert_allclose(extract_features(module, given), right, atol=1e-4 * np.abs(right).max())
    with pytest.warns(RuntimeWarning, match="numbers from 0 to 255 in float32, which enter as they are"):
        extract_features(module, pictures.astype(np.float32))
    with pytest.warns(RuntimeWarning, match="images from 0 to 1 enter as they are, and it takes another range"):
        extract_features(module, pictures / 255)


def test_a_network_of_keras_that_scales_images():
    keras = pytest.importorskip("keras")
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(3, "relu")]
    module = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    pictures = PICTURES[:, :8, :8]
    right = module.predict(pictures.astype(np.float32), verbose=0)
    for given in (pictures, pictures.astype(np.float32)):
        np.testing.assert_allclose(extract_features(module, given, -1), right, atol=1e-5)
    with pytest.warns(RuntimeWarning, match="images from 0 to 1 enter as they are, and it takes another range"):
        extract_features(module, pictures / 255)


def test_series_of_images_in_bytes():
    torch = pytest.importorskip("torch")
    network = torch.nn.Sequential(torch.nn.Conv3d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(4 * 2 * 6 * 6, 2))
    series = np.random.default_rng(0).integers(0, 256, (6, 3, 4, 8, 8)).astype(np.uint8)
    with pytest.warns(RuntimeWarning, match="series of images in uint8 enter as numbers from 0 to 255"):
        extract_features(network, series)
    extract_features(network, series / 255)
