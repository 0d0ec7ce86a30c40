"""What was silently wrong once: penultimate layers, scaling, padding, pooling, places of rows, modes, code."""

import json
import shutil
import warnings

import numpy as np
import pytest
from flax import nnx

import nrjax
from nrjax import extract_features

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)
ROWS = RNG.normal(size=(6, 4)).astype(np.float32)
TEXTS = ["a b c d e f", "a b", "c d e", "j"]


def close(features, right, size=1e-5):
    np.testing.assert_allclose(features, np.asarray(right), atol=size, rtol=1e-4)


def test_every_text_has_its_own_row():
    model = nrjax.from_embedder(lambda texts: np.array([[len(text), 1.0] for text in texts]))
    for seed in range(20):
        lengths = np.random.default_rng(seed).permutation(50)[:11] + 1
        for size in (2, 3, 4, 11):
            features = extract_features(model, ["x" * n for n in lengths], batch_size=size)
            np.testing.assert_array_equal(features[:, 0], lengths)


def test_grey_images_without_an_axis_for_their_channel():
    grey = IMAGES[..., 0]
    model = nrjax.from_function(lambda params, x: x.reshape(len(x), -1), {})
    np.testing.assert_array_equal(extract_features(model, grey, -1), extract_features(model, grey[..., None], -1))
    assert extract_features(model, grey, -1).max() <= 1


def scaled(params, x):
    return x * FACTOR


FACTOR = 2.0


def test_fingerprints_see_code(monkeypatch):
    def fingerprints():
        class Net(nnx.Module):
            def __init__(self):
                self.kernel = nnx.Param(np.ones((4, 2), np.float32))

            def __call__(self, x):
                return x @ self.kernel[...] * factor

        return [nrjax.from_function(scaled, {}).fingerprint, nrjax.from_nnx(Net()).fingerprint]

    factor = 2.0
    before = fingerprints()
    assert fingerprints() == before
    monkeypatch.setattr("tests.models.test_right.FACTOR", 3.0)
    after = fingerprints()
    assert after[0] != before[0]
    assert after[1] == before[1]
    embedders = [nrjax.from_embedder(lambda texts, words=words: words).fingerprint for words in (["a"], ["a"], ["b"])]
    assert embedders[0] == embedders[1] != embedders[2]


class TestTorch:
    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch", reason="PyTorch is not installed")

    def test_what_is_changed_in_place_after_the_head_read_it(self, torch):
        class Classifier(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.encoder, self.head = torch.nn.Linear(4, 6), torch.nn.Linear(6, 6)

            def forward(self, x):
                x = torch.tanh(self.encoder(x))
                logits = self.head(x)
                x += logits
                return logits

        model = Classifier()
        close(extract_features(model, ROWS), torch.tanh(model.encoder(torch.tensor(ROWS))).detach(), 1e-6)

    def test_a_linear_that_is_called_by_keyword(self, torch):
        class Named(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.encoder, self.head = torch.nn.Linear(4, 6), torch.nn.Linear(6, 3)

            def forward(self, x):
                return self.head(input=self.encoder(x))

        assert extract_features(Named(), ROWS).shape == (6, 6)

    @pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
    def test_other_precisions(self, torch, dtype):
        model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Linear(6, 2))
        right = model[0](torch.tensor(ROWS)).detach()
        close(extract_features(model.to(getattr(torch, dtype)), ROWS), right, 0.05)

    def test_volumes_enter_as_they_lie(self, torch):
        volumes = RNG.normal(size=(6, 16, 16, 16)).astype(np.float32)
        model = torch.nn.Conv2d(16, 4, 3)
        close(extract_features(model, volumes, -1), model(torch.tensor(volumes)).detach().reshape(6, -1))

    def test_layers_by_place_when_the_last_batch_has_one_sample(self, torch):
        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.rnn, self.head = torch.nn.GRU(4, 5, batch_first=True), torch.nn.Linear(5, 2)

            def forward(self, x):
                return self.head(self.rnn(x)[0][:, -1])

        sequences = RNG.normal(size=(7, 3, 4)).astype(np.float32)
        model = Net()
        for place in range(-3, 3):
            assert len(extract_features(model, sequences, place, batch_size=3)) == 7
        assert [layer.name for layer in nrjax.layers(model, input_shape=(3, 4))] == ["input", "rnn", "head", "output"]

    def test_a_module_that_merges_adapters_when_it_evaluates(self, torch):
        class Merging(torch.nn.Linear):
            merged = False

            def train(self, mode=True):
                super().train(mode)
                if mode == self.merged:
                    self.weight.data += -1 if mode else 1
                    self.merged = not mode
                return self

        model = torch.nn.Sequential(Merging(4, 4), torch.nn.Linear(4, 2)).train()
        before = model[0].weight.detach().clone()
        extract_features(model, ROWS)
        assert model[0].training
        close(model[0].weight.detach(), before, 1e-6)

    def test_labels_that_torchvision_changes_and_pictures_as_people_see_them(self, torch):
        from PIL import Image

        class Pictures(torch.utils.data.Dataset):
            targets = (0, 1, 2, 3)
            classes = ("a", "b", "c", "d")
            target_transform = staticmethod(lambda label: label // 2)

            def __len__(self):
                return 4

            def __getitem__(self, i):
                picture = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
                return picture, self.target_transform(self.targets[i])

        data = nrjax.load_dataset(Pictures(), image_size=(8, 8), grayscale=True)
        assert data.labels.tolist() == [0, 0, 1, 1]
        assert data.images.shape == (4, 8, 8, 1)
        assert data.images.min() == 255  # what is transparent is shown on white


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Saves a small random model with what prepares its images; returns its folder and itself."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch = pytest.importorskip("torch")

    def save(config, kind=None):
        folder = tmp_path_factory.mktemp(config.model_type)
        torch.manual_seed(0)
        module = (kind or transformers.AutoModel.from_config)(config).eval()
        module.save_pretrained(folder)
        transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
        return folder, module

    return save


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij"]
    tokenizer = transformers.BertTokenizerFast(vocab={word: i for i, word in enumerate(words)})
    tokenizer.padding_side = "left"
    tokenizer.save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16
    )
    transformers.BertModel(config).eval().save_pretrained(folder)
    return folder


class TestHuggingFace:
    def test_texts_do_not_depend_on_others_of_their_batch(self, bert):
        together = extract_features(f"hf:{bert}", TEXTS)
        close(together, np.concatenate([extract_features(f"hf:{bert}", [text]) for text in TEXTS]))

    @pytest.mark.parametrize("network", ["convnext", "clip vision"])
    def test_images_are_pooled_as_their_classifiers_do(self, saved, network):
        import torch
        import transformers

        small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        if network == "convnext":
            pair = saved(transformers.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], image_size=32))
        else:
            config = transformers.CLIPVisionConfig(image_size=32, patch_size=8, **small)
            pair = saved(config, transformers.CLIPVisionModel)
        folder, module = pair
        read = transformers.ViTImageProcessor.from_pretrained(folder)(images=list(IMAGES), return_tensors="pt")
        with torch.no_grad():
            right = module(read["pixel_values"]).pooler_output
        close(extract_features(f"hf:{folder}", IMAGES), right, 1e-4)

    @pytest.mark.filterwarnings("ignore:padding changes:RuntimeWarning")
    @pytest.mark.parametrize("network", ["FNet", "ConvBert"])
    def test_texts_that_padding_would_change_are_as_alone(self, bert, tmp_path, network):
        import shutil

        import torch
        import transformers

        small = {"vocab_size": 100, "hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 16,
                 "max_position_embeddings": 64}  # fmt: skip
        small |= {} if network == "FNet" else {"num_attention_heads": 2, "embedding_size": 16}
        torch.manual_seed(0)
        module = getattr(transformers, f"{network}Model")(getattr(transformers, f"{network}Config")(**small)).eval()
        for weight in module.parameters():
            torch.nn.init.normal_(weight, std=0.2) if weight.ndim > 1 else None
        module.save_pretrained(tmp_path)
        for file in bert.glob("*token*"):
            shutil.copy(file, tmp_path)
        tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
        texts = ["a b c d e f g h i j", "a", "b c", "d e f g", "h i"]
        with torch.no_grad():
            right = [
                module(tokenizer(text, return_tensors="pt")["input_ids"]).last_hidden_state[0].mean(0) for text in texts
            ]
        close(extract_features(f"hf:{tmp_path}", texts), torch.stack(right), 1e-4)

    @pytest.mark.parametrize("network", ["Dinov2", "PoolFormer", "SwiftFormer", "Data2VecVision"])
    def test_penultimate_is_what_the_classifier_reads(self, saved, network):
        import torch
        import transformers

        shape = {"image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        stages = {"hidden_sizes": [8, 8, 8, 16], "embed_dims": [8, 8, 8, 16], "depths": [1, 1, 1, 1]}
        config = getattr(transformers, f"{network}Config")(**(stages if "Former" in network else shape))
        kind = getattr(transformers, f"{network}ForImageClassification")
        folder, module = saved(config, kind)
        read = []
        layers = (layer for name, layer in module.named_modules() if name.split(".")[-1] in ("classifier", "head"))
        head = next(layer for layer in layers if isinstance(layer, torch.nn.Linear))
        head.register_forward_pre_hook(lambda _, given: read.append(given[0].detach()))
        pixels = transformers.ViTImageProcessor.from_pretrained(folder)(images=list(IMAGES), return_tensors="pt")
        with torch.no_grad():
            module(pixels["pixel_values"])
        close(extract_features(f"hf:{folder}", IMAGES), read[0], 1e-4)

    def test_two_towers_embed_what_they_are_given(self, bert, saved):
        import shutil

        import torch
        import transformers

        small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        text = {**small, "vocab_size": 20, "bos_token_id": 2, "eos_token_id": 3, "max_position_embeddings": 16}
        config = transformers.CLIPConfig(vision_config={**small, "image_size": 32, "patch_size": 16}, text_config=text)
        folder, module = saved(config)
        for file in bert.glob("*token*"):
            shutil.copy(file, folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        pixels = transformers.ViTImageProcessor.from_pretrained(folder)(images=list(IMAGES), return_tensors="pt")
        with torch.no_grad():
            images = module.get_image_features(**pixels)
            texts = [module.get_text_features(tokenizer(t, return_tensors="pt")["input_ids"]) for t in TEXTS]
        images, *texts = (getattr(answer, "pooler_output", answer) for answer in (images, *texts))
        close(extract_features(f"hf:{folder}", IMAGES), images, 1e-4)
        close(extract_features(f"hf:{folder}", TEXTS), torch.cat(texts), 1e-4)

    def test_an_autoencoder_that_hides_patches_in_training_sees_them_all(self, saved):
        import transformers

        small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        decoder = {f"decoder_{name}": value for name, value in small.items()}
        folder, _ = saved(transformers.ViTMAEConfig(image_size=32, patch_size=8, **small, **decoder))
        model = transformers.ViTMAEModel.from_pretrained(folder, mask_ratio=0.0)
        processor = transformers.ViTImageProcessor.from_pretrained(folder)
        right = model(**processor(list(IMAGES), return_tensors="pt")).last_hidden_state[:, 0].detach()
        close(extract_features(f"hf:{folder}", IMAGES), right)

    @pytest.mark.parametrize(
        ("target", "words"),
        [
            ("../model.safetensors", "outside its folder"),
            ("weights.bin", "no safetensors"),
            ("no.safetensors", "not there"),
            ("pipe.safetensors", "not a regular file"),
        ],
    )
    def test_an_index_names_safetensors_of_its_folder_alone(self, bert, tmp_path, target, words):
        import os

        from safetensors import safe_open

        folder = tmp_path / "bert"
        shutil.copytree(bert, folder)
        os.mkfifo(folder / "pipe.safetensors")
        with safe_open(folder / "model.safetensors", "np") as file:
            names = list(file.keys())
        (folder / "model.safetensors").rename(folder / "other.safetensors")
        index = {"metadata": {}, "weight_map": dict.fromkeys(names, target)}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(ValueError, match=words):
            extract_features(f"hf:{folder}", TEXTS)

    def test_a_panic_costs_one_model(self, bert, tmp_path):
        shutil.copytree(bert, tmp_path / "bad")
        settings = json.loads((tmp_path / "bad" / "tokenizer.json").read_text())
        settings["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": "/////w=="}
        (tmp_path / "bad" / "tokenizer.json").write_text(json.dumps(settings))
        models = {"bad": f"hf:{tmp_path / 'bad'}", "good": f"hf:{bert}"}
        ranking = nrjax.rank(models, TEXTS * 3, [0, 1, 1, 0] * 3, progress=False)
        assert list(ranking.failed) == ["bad"]

    def test_prompts_and_case_of_sentence_transformers(self, bert, tmp_path):
        folder = tmp_path / "sentences"
        shutil.copytree(bert, folder)
        kinds = {"Transformer": "", "Pooling": "1_Pooling"}
        modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for kind, path in kinds.items()]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
        (folder / "sentence_roberta_config.json").write_text(json.dumps({"max_seq_length": 5, "do_lower_case": True}))
        settings = {"prompts": {"query": "j "}, "default_prompt_name": "query"}
        (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))
        with pytest.warns(RuntimeWarning, match="were truncated"):
            features = extract_features(f"hf:{folder}", ["A B C D E F", "C"])
        close(features, extract_features(f"hf:{bert}", ["j a b", "j c"]))

    @pytest.mark.parametrize("network", ["mpnet", "xlnet"])
    def test_texts_as_long_as_the_positions_last(self, bert, tmp_path, network):
        """Positions of the first begin behind that of the padding; the second pads on the left and has no end."""
        import torch
        import transformers

        shutil.copytree(bert, tmp_path / network)
        small = {"vocab_size": 15, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        config, longest = {
            "mpnet": lambda: (transformers.MPNetConfig(max_position_embeddings=16, intermediate_size=16, **small), 14),
            "xlnet": lambda: (transformers.XLNetConfig(vocab_size=15, d_model=16, n_layer=1, n_head=2, d_inner=16), 22),
        }[network]()
        module = transformers.AutoModel.from_config(config).eval()
        module.save_pretrained(tmp_path / network)
        long = " ".join("abcdefghij" * 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # that texts were truncated
            features = extract_features(f"hf:{tmp_path / network}", [long, "a b"])
        tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / network)
        right = []
        for text in (long, "a b"):
            read = tokenizer([text], truncation=True, max_length=longest, return_tensors="pt")
            taken = {key: value for key, value in read.items() if network == "xlnet" or key != "token_type_ids"}
            with torch.no_grad():
                right.append(module(**taken).last_hidden_state.mean(dim=1)[0])
        close(features, torch.stack(right), 1e-5)

    def test_an_encoder_keeps_its_mode(self, bert):
        sentences = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
        encoder = sentences.SentenceTransformer(str(bert)).train()
        extract_features(encoder, TEXTS)
        assert all(module.training for module in encoder.modules())


class TestKeras:
    @pytest.fixture
    def keras(self):
        return pytest.importorskip("keras", reason="Keras is not installed")

    def test_scaling_of_its_own_is_not_done_twice(self, keras):
        layers, entry = keras.layers, keras.Input((32, 32, 3))
        inner = keras.Model(entry, layers.Conv2D(4, 3)(layers.Rescaling(1 / 127.5, -1)(entry)), name="base")
        outer = keras.Input((32, 32, 3))
        nested = keras.Model(outer, layers.Dense(3)(layers.GlobalAveragePooling2D()(inner(outer))))
        prepared = keras.applications.mobilenet_v2.preprocess_input(outer)
        graph = keras.Model(outer, layers.Dense(2)(layers.Flatten()(layers.Conv2D(2, 3)(prepared))))
        pixels = IMAGES.astype(np.float32)
        for model in (nested, graph):
            close(extract_features(model, IMAGES, -1), model(pixels), 1e-3)
        assert extract_features(nested, IMAGES, "base").shape == (6, 30 * 30 * 4)
        adapted = layers.Normalization()
        adapted.adapt(pixels / 255)
        model = keras.Model(outer, layers.Dense(2)(layers.Flatten()(adapted(outer))))
        close(extract_features(model, IMAGES, -1), model(pixels / 255), 1e-3)

    def test_inverted_images_are_not_scaled_by_the_network(self, keras):
        """Of `1 - x` the factor is large and negative, as in ONNX files: the network takes images from 0 to 1."""
        layers, entry = keras.layers, keras.Input((32, 32, 3))
        model = keras.Model(entry, layers.Dense(2)(layers.Flatten()(layers.Rescaling(-1.0, 1.0)(entry))))
        close(extract_features(model, IMAGES, -1), model(IMAGES.astype(np.float32) / 255), 1e-3)

    def test_bytes_that_are_normalised_on_the_device(self, keras, monkeypatch):
        """What a network on an accelerator gets, and what NumPy makes of them on a CPU: the same numbers."""
        if keras.backend.backend() != "jax":
            pytest.skip("the backend of Keras is not JAX")
        layers, entry = keras.layers, keras.Input((16, 16, 3))
        seen = nrjax.Preprocessing(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.1))
        network = keras.Model(entry, layers.Dense(2)(layers.Dense(4, name="low")(layers.Flatten()(entry))))
        model = nrjax.from_keras(network, preprocessing=seen)
        images = RNG.integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
        from_host = extract_features(model, images, "low")
        assert model.inputs.prepare(images).dtype == np.float32
        monkeypatch.setattr("nrjax.models._keras.is_accelerator", lambda device: True)
        assert model.inputs.prepare(images).dtype == np.uint8
        np.testing.assert_allclose(extract_features(model, images, "low"), from_host, atol=1e-5)

    def test_a_dense_layer_that_is_called_twice(self, keras):
        entry, dense = keras.Input((4,)), keras.layers.Dense(4, name="dense")
        model = keras.Model(entry, dense(keras.ops.tanh(dense(entry))))
        close(extract_features(model, ROWS), np.tanh(np.asarray(dense(ROWS))))
        assert [layer.name for layer in nrjax.layers(model)][-1] == "dense:2"


def test_onnx_weights_behind_other_nodes_and_tensors_called_input(tmp_path):
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
    pytest.importorskip("onnxruntime")
    make, numbers = onnx.helper, onnx.TensorProto.FLOAT
    first, second = (RNG.normal(size=size).astype(np.float32) for size in ((4, 5), (5, 2)))
    nodes = [
        make.make_node("MatMul", ["x", "w1"], ["input"]), make.make_node("Tanh", ["input"], ["t"]),
        make.make_node("Identity", ["w2"], ["same"]), make.make_node("MatMul", ["t", "same"], ["y"]),
    ]  # fmt: skip
    weights = [onnx.numpy_helper.from_array(first, "w1"), onnx.numpy_helper.from_array(second, "w2")]
    ends = [[make.make_tensor_value_info(name, numbers, ["n", size])] for name, size in (("x", 4), ("y", 2))]
    graph = make.make_graph(nodes, "g", *ends, weights)
    opsets = [make.make_opsetid("", 17)]
    onnx.save(make.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "m.onnx")
    close(extract_features(f"onnx:{tmp_path / 'm.onnx'}", ROWS), np.tanh(ROWS @ first))
    close(extract_features(f"onnx:{tmp_path / 'm.onnx'}", ROWS, "input"), ROWS @ first)
    close(extract_features(f"onnx:{tmp_path / 'm.onnx'}", ROWS, "input:2"), ROWS)


@pytest.fixture
def convolution(tmp_path):
    """Saves a network of one convolution whose images may have any size; returns its kernel too."""
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
    pytest.importorskip("onnxruntime")
    make, types = onnx.helper, onnx.TensorProto

    def save(dtype):
        kernel = RNG.normal(size=(2, 3, 1, 1)).astype(np.float32)
        nodes = [
            make.make_node("Cast", ["x"], ["numbers"], to=types.FLOAT), make.make_node("Conv", ["numbers", "k"], ["c"]),
            make.make_node("GlobalAveragePool", ["c"], ["y"]),
        ]  # fmt: skip
        ends = [
            [make.make_tensor_value_info("x", getattr(types, dtype), ["n", 3, "h", "w"])],
            [make.make_tensor_value_info("y", types.FLOAT, ["n", 2, 1, 1])],
        ]
        graph = make.make_graph(nodes, "g", *ends, [onnx.numpy_helper.from_array(kernel, "k")])
        onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9), tmp_path / "c.onnx")
        return f"onnx:{tmp_path / 'c.onnx'}", kernel[:, :, 0, 0]

    return save


def test_onnx_layers_by_place_where_images_have_any_size(convolution):
    name, kernel = convolution("FLOAT")
    right = IMAGES.reshape(6, -1, 3).mean(axis=1) / 255 @ kernel.T
    close(extract_features(name, IMAGES, -1), right)
    assert extract_features(name, IMAGES, -2).shape == (6, 2 * 32 * 32)
    close(extract_features(name, IMAGES[:, :16], -1), IMAGES[:, :16].reshape(6, -1, 3).mean(axis=1) / 255 @ kernel.T)


def test_onnx_numbers_with_channels_first(convolution):
    name, kernel = convolution("FLOAT")
    numbers = IMAGES.astype(np.float32) / 255
    right = numbers.reshape(6, -1, 3).mean(axis=1) @ kernel.T
    for given in (numbers, numbers.transpose(0, 3, 1, 2), np.ascontiguousarray(numbers.transpose(0, 3, 1, 2))):
        close(extract_features(name, given, -1), right)


def test_onnx_that_takes_bytes_scales_by_itself(convolution):
    name, kernel = convolution("UINT8")
    close(extract_features(name, IMAGES, -1), IMAGES.reshape(6, -1, 3).mean(axis=1) @ kernel.T, 1e-3)
    with pytest.raises(ValueError, match="it takes images as they are, from 0 to 255; leave mean"):
        nrjax.load_model(name, preprocessing=nrjax.Preprocessing(mean=(0.5,)))


def test_means_of_four_hundred_digits(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps([{"model": "onnx:c.onnx", "preprocessing": {"mean": [10**400]}}]))
    with pytest.raises(ValueError, match=r"preprocessing: .*mean must be"):
        nrjax.load_candidates(str(tmp_path / "c.json"))
    with pytest.raises(ValueError, match="mean must be numbers"):
        nrjax.Preprocessing(mean=(10**400,))


def test_labels_that_come_as_tensors():
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    pytest.importorskip("torch")
    table = datasets.Dataset.from_dict({"text": TEXTS, "label": [0, 1, 1, 0]}).with_format("torch")
    data = nrjax.load_dataset(table)
    assert (data.texts, data.labels.tolist()) == (TEXTS, [0, 1, 1, 0])


def test_timm_without_a_classifier(tmp_path):
    timm = pytest.importorskip("timm", reason="timm is not installed", exc_type=Exception)
    for name in ("test_vit", "test_convnext"):
        timm.models.save_for_hf(timm.create_model(name, num_classes=0).eval(), tmp_path / name, safe_serialization=True)
        assert extract_features(f"timm:{tmp_path / name}", IMAGES).shape == (6, 64)


def test_labels_of_tables(tmp_path):
    pandas = pytest.importorskip("pandas")
    (tmp_path / "t.csv").write_text("text,label\na,1\nb,2\nc,3\nd,4\n")
    data = nrjax.load_dataset(tmp_path / "t.csv", classes="1-2")
    assert (data.texts, data.labels.tolist()) == (["a", "b"], [1, 2])
    (tmp_path / "m.csv").write_text("text,label\na,x\nb,nan\nc,y\n")
    with pytest.raises(ValueError, match="row 2 has no label"):
        nrjax.load_dataset(tmp_path / "m.csv")
    with (
        pytest.raises(ValueError, match="different labels must differ as text"),
        pytest.warns(RuntimeWarning, match="same name stay different: 1 and '1'"),
    ):
        nrjax.load_dataset(pandas.DataFrame({"text": list("abc"), "label": [1, "1", 2]}))
    with pytest.raises(ValueError, match="several columns that read '1'"):
        nrjax.load_dataset(pandas.DataFrame({1: [1.0, 2.0], "1": [3.0, 4.0], "label": ["a", "b"]}))


def test_bytes_that_are_normalised_on_the_device(monkeypatch):
    """What a module on an accelerator gets: a quarter of the copy, the same numbers."""
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 4))
    seen = nrjax.Preprocessing(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.1), image_size=16)
    model = nrjax.from_torch(module, input_shape=(16, 16, 3), preprocessing=seen)
    from_host = extract_features(model, IMAGES, 0)
    monkeypatch.setattr("nrjax.models._torch_live.is_accelerated", lambda module: True)
    assert model.inputs.prepare(IMAGES).dtype == np.uint8
    np.testing.assert_array_equal(extract_features(model, IMAGES, 0), from_host)
    floats = RNG.normal(size=(2, 16, 16, 3)).astype(np.float32)  # which enter as they are
    assert model.inputs.prepare(floats).dtype == np.float32


@pytest.mark.parametrize("precision", ["float32", "tensorfloat32", "bfloat16"])
def test_precisions(precision):
    """On a CPU the first two are the same; every one comes out as float32."""
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(4, 3)
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    for model in (module, nrjax.from_function(lambda p, x: x @ p, np.asarray(module.weight.detach()).T)):
        exact, features = (extract_features(model, ROWS, -1, precision=p) for p in ("float32", precision))
        assert features.dtype == np.float32
        np.testing.assert_allclose(features, exact, atol={"bfloat16": 0.1}.get(precision, 1e-6))
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before
