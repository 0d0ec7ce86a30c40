"""What is refused, with its sentence, and never costs the others their result."""

import builtins
import json
import os
import pickle
import sys
import zipfile

import numpy as np
import pytest

import nrjax
from nrjax.models import load_candidates, load_model
from tests.models import sources

X, Y = sources.images(24), np.arange(24) % 4
T = sources.texts(24)


def test_an_unknown_prefix():
    for name in ("tensorflow:resnet", "resnet18", "timm:"):
        with pytest.raises(
            ValueError,
            match=r"expected timm:..., hf:..., hf-zeroshot:..., onnx:..., openvino:..., litert:..., gguf:..., torch:",
        ):
            load_model(name)
    with pytest.raises(FileNotFoundError, match="there is no such folder or list"):
        load_candidates("no/such")


@pytest.mark.parametrize(("name", "missing", "extra"), [
    ("timm:resnet18", "timm", "timm"), ("hf:.", "transformers", "huggingface"), ("onnx:x.onnx", "onnx", "onnx"),
])  # fmt: skip
def test_a_missing_framework_costs_its_models_one_sentence(monkeypatch, name, missing, extra):
    real = builtins.__import__
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setattr(builtins, "__import__", real)
    zoo = nrjax.load_demo().zoo
    ranking = nrjax.rank({"F10": zoo["F10"], "other": name}, X, Y, progress=False)
    assert ranking.order == ["F10"]
    assert f"needs {missing}" in ranking.failed["other"]
    if extra != missing:
        assert "not import" in ranking.failed["other"] or f"nrjax[{extra}]" in ranking.failed["other"]


def config(folder, **fields):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertModel"]} | fields))
    return folder


@pytest.fixture
def transformers():
    pytest.importorskip("torch", exc_type=ImportError)
    return pytest.importorskip("transformers", exc_type=ImportError)


@pytest.fixture
def bert(tmp_path, transformers):
    sources.save_bert(tmp_path / "bert", 0)
    return tmp_path / "bert"


def test_directories_of_hugging_face(tmp_path, transformers):
    cases = {
        "nothing": (tmp_path / "nothing", "there is no config.json"),
        "no weights": (config(tmp_path / "bare"), "there are no weights"),
        "pickled": (config(tmp_path / "pickled"), "its weights are pickled .*safe_serialization=True"),
        "code": (config(tmp_path / "code", model_type="mine", auto_map={"AutoConfig": "x.C"}), "trust_remote_code"),
        "unknown": (config(tmp_path / "unknown", model_type="mine"), "not one that transformers knows"),
        "pipe": (config(tmp_path / "pipe"), "not a regular file"),
    }
    (tmp_path / "nothing").mkdir()
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(pickle.dumps(print))
    for name in ("code", "unknown"):
        (tmp_path / name / "model.safetensors").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe" / "model.safetensors")
    for folder, message in cases.values():
        with pytest.raises(ValueError, match=message):
            load_model(f"hf:{folder}")
    with pytest.raises(ValueError, match="there is no directory"):
        load_model("hf:./nowhere")
    with pytest.raises(ValueError, match=r"neither a directory nor in the cache of the hub.*download=True"):
        load_model("hf:nobody/has-this")


def test_weights_that_do_not_fit_are_never_random(bert):
    fields = json.loads((bert / "config.json").read_text())
    (bert / "config.json").write_text(json.dumps(fields | {"num_hidden_layers": 4}))
    with pytest.raises(ValueError, match=r"do not fit the architecture: encoder\.layer\.3.* would be random"):
        load_model(f"hf:{bert}")
    (bert / "config.json").write_text(json.dumps(fields))
    (bert / "model.safetensors").write_bytes((bert / "model.safetensors").read_bytes()[:500])
    with pytest.raises(ValueError, match="its weights cannot be loaded"):
        load_model(f"hf:{bert}")


def test_a_tokenizer_that_is_missing(bert):
    for path in bert.glob("token*"):
        path.unlink()
    with pytest.raises(ValueError, match="its tokenizer is missing or cannot be read"):
        load_model(f"hf:{bert}")


def test_poolings(bert):
    model = load_model(f"hf:{bert}")
    mean = nrjax.extract_features(model, T)
    for pooling in ("cls", "last", "max"):
        other = nrjax.extract_features(load_model(f"hf:{bert}", pooling=pooling), T)
        assert np.abs(other - mean).max() > 1e-3
    with pytest.raises(ValueError, match="pooling must be of mean, cls, last, max"):
        load_model(f"hf:{bert}", pooling="sum")

    def write(modules, pooling=None):
        (bert / "modules.json").write_text(json.dumps([{"type": f"s.{kind}", "path": path} for kind, path in modules]))
        if pooling is not None:
            (bert / "1_Pooling").mkdir(exist_ok=True)
            (bert / "1_Pooling" / "config.json").write_text(json.dumps(pooling))

    write([("Transformer", ""), ("Pooling", "1_Pooling")], {"pooling_mode_cls_token": True})
    cls = nrjax.extract_features(load_model(f"hf:{bert}"), T)
    np.testing.assert_array_equal(cls, nrjax.extract_features(load_model(f"hf:{bert}", pooling="cls"), T))
    write([("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2")])
    unit = nrjax.extract_features(load_model(f"hf:{bert}"), T)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    write([("Transformer", ""), ("Pooling", "1_Pooling")], {"pooling_mode_attention": True})
    with pytest.raises(ValueError, match="its pooling is attention; known are cls, max"):
        load_model(f"hf:{bert}")
    write([("Transformer", ""), ("Router", "2_Router")])
    with pytest.raises(ValueError, match="it has Router, which nrjax does not know"):
        load_model(f"hf:{bert}")
    write([("Transformer", ""), ("Pooling", "../../../etc")])
    with pytest.raises(ValueError, match="outside its folder"):
        load_model(f"hf:{bert}")


def test_long_texts_are_said_once(bert):
    long = [*T[:-2], "cat " * 100, "dog " * 100]
    with pytest.warns(
        RuntimeWarning, match="2 of 24 texts are longer than the model takes and were truncated"
    ) as warned:
        features = nrjax.extract_features(load_model(f"hf:{bert}"), long, batch_size=5)
    assert len(warned) == 1
    cut = [" ".join(text.split()[:14]) for text in long]
    np.testing.assert_allclose(features, nrjax.extract_features(load_model(f"hf:{bert}"), cut), atol=1e-5)


@pytest.mark.parametrize(("texts", "message"), [
    (["a", "", "b"], r"text 1 is \(1 of 3 texts\)"), (["a", "b", "  "], "must not be empty; text 2"),
    (["a", None, "b"], "texts must be str; text 1 is NoneType"), (["a", "b", 3.0], "text 2 is float"),
    ("one text", "got one text"),
])  # fmt: skip
def test_texts_that_are_none(texts, message):
    with pytest.raises(ValueError, match=message):
        nrjax.rank({"a": nrjax.from_embedder(lambda some: np.zeros((len(some), 2)))}, texts, [0, 1, 0])


def test_the_wrong_kind_of_samples_costs_only_that_model():
    embed = nrjax.from_embedder(
        lambda texts: np.array([[len(text), text.count("a"), text.count("e")] for text in texts]), "text"
    )
    zoo = nrjax.load_demo().zoo
    ranking = nrjax.rank({"words": embed, "images": zoo["F10"]}, T, Y, progress=False)
    assert ranking.failed == {"images": "the model takes images; the samples are texts."}
    ranking = nrjax.rank({"words": embed, "images": zoo["F10"]}, X, Y, progress=False)
    assert ranking.failed == {"words": "the model takes texts; the samples are images."}


@pytest.mark.parametrize(("returned", "message"), [
    (np.zeros(3), r"must return \(samples, dims\)"), (np.zeros((2, 2)), r"for \d+ samples; got \(2, 2\)"),
])  # fmt: skip
def test_embedders_that_return_something_else(returned, message):
    with pytest.raises(ValueError, match=message):
        nrjax.extract_features(nrjax.from_embedder(lambda some: returned), T)


def test_functions_that_return_something_else():
    for apply in (lambda p, x: x.mean(), lambda p, x: {}, lambda p, x: {"a": "text"}):
        with pytest.raises(ValueError, match="the function must return an array"):
            nrjax.extract_features(nrjax.from_function(apply, {}), X)


class TestTorch:
    @pytest.fixture(autouse=True)
    def torch(self):
        return pytest.importorskip("torch", exc_type=ImportError)

    def test_answers_of_every_shape(self, torch):
        import dataclasses

        @dataclasses.dataclass
        class Answer:
            logits: object
            hidden: object

        def net(answer):
            class Net(torch.nn.Module):
                def __init__(self):
                    super().__init__()
                    torch.manual_seed(0)
                    self.head = torch.nn.Linear(3, 5)

                def forward(self, x):
                    mean = x.mean((2, 3))
                    return answer(self.head(mean), mean)

            return Net()

        plain = nrjax.extract_features(net(lambda a, b: a), X, [-1, "penultimate"])
        answers = {
            "tuple": lambda a, b: (a, b), "dict": lambda a, b: {"logits": a, "hidden": b}, "dataclass": Answer,
            "list": lambda a, b: [a, b],
        }  # fmt: skip
        for make in answers.values():
            model = nrjax.from_torch(net(make), input_shape=(32, 32, 3))
            features = nrjax.extract_features(model, X, ["output", "penultimate"])
            np.testing.assert_array_equal(features["output"], plain[-1])
            np.testing.assert_array_equal(features["penultimate"], plain["penultimate"])
            assert [layer.name for layer in model.layers()][-1].startswith("output.")
        with pytest.raises(ValueError, match="answers with str, in which there is no tensor"):
            nrjax.extract_features(net(lambda a, b: "nothing"), X)

    def test_modules_that_change_when_they_run(self, torch):
        class Counts(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("count", torch.zeros(()))

            def forward(self, x):
                self.count += 1
                return x.mean((2, 3)) * self.count

        class Random(torch.nn.Module):
            def forward(self, x):
                return torch.nn.functional.dropout(x.mean((2, 3)), 0.5)  # in training mode for ever

        class OfTheBatch(torch.nn.Module):
            def forward(self, x):
                mean = x.mean((2, 3))
                return mean - mean.mean(0)

        for module in (Counts(), Random(), OfTheBatch()):
            with pytest.raises(ValueError, match="other outputs for the same samples"):
                nrjax.extract_features(module, X, -1)

    def test_a_network_without_a_dense_layer(self, torch):
        net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))
        with pytest.raises(ValueError, match=r"no dense layer at its end.*choose one of input"):
            nrjax.extract_features(net, X)

    def test_a_network_that_cannot_take_the_images(self, torch):
        ranking = nrjax.rank({"grey": torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten()),
                              "colour": sources.torch_network()}, X, Y, layer=-1, progress=False)  # fmt: skip
        assert ranking.order == ["colour"]
        assert "channels" in ranking.failed["grey"]

    def test_images_that_lie_as_pytorch_has_them(self, torch):
        net = sources.torch_network()
        expected = nrjax.extract_features(net, X)
        np.testing.assert_array_equal(nrjax.extract_features(net, X.transpose(0, 3, 1, 2)), expected)
        tensors = torch.from_numpy(X).permute(0, 3, 1, 2).float() / 255
        np.testing.assert_allclose(nrjax.extract_features(net, tensors), expected, atol=1e-6)

    def test_out_of_memory_halves_the_batch(self, torch):
        class Small(torch.nn.Module):
            def forward(self, x):
                if len(x) > 5:
                    raise torch.OutOfMemoryError("CUDA out of memory.")
                return x.mean((2, 3))

        with pytest.warns(RuntimeWarning, match="going on with") as warned:
            features = nrjax.extract_features(Small(), X, -1, batch_size=16)
        assert "with 4 samples at once" in str(warned[-1].message)
        np.testing.assert_allclose(features, X.mean((1, 2)) / 255, atol=1e-5)


class TestOnnx:
    @pytest.fixture(autouse=True)
    def onnx(self):
        pytest.importorskip("onnxruntime", exc_type=ImportError)
        return pytest.importorskip("onnx", exc_type=ImportError)

    def test_a_fixed_batch(self, tmp_path):
        for batch in ("batch", 4, 1):
            sources.save_onnx(tmp_path / f"{batch}.onnx", batch=batch)
        free = nrjax.extract_features(f"onnx:{tmp_path / 'batch.onnx'}", X)
        for batch in (4, 1):
            fixed = load_model(f"onnx:{tmp_path / f'{batch}.onnx'}")
            np.testing.assert_allclose(nrjax.extract_features(fixed, X[:23]), free[:23], atol=1e-6)
            assert [tuple(layer) for layer in fixed.layers()][-1] == ("logits", (4,))

    def test_its_preprocessing_can_be_given(self, tmp_path):
        sources.save_onnx(tmp_path / "net.onnx")
        plain = load_model(f"onnx:{tmp_path / 'net.onnx'}")
        given = nrjax.Preprocessing(mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2))
        other = load_model(f"onnx:{tmp_path / 'net.onnx'}", preprocessing=given)
        assert plain.fingerprint != other.fingerprint
        normalised = ((X / 255 - given.mean) / given.std).astype(np.float32)
        np.testing.assert_allclose(
            nrjax.extract_features(other, X), nrjax.extract_features(plain, normalised), atol=1e-4
        )  # fmt: skip

    def test_files_that_are_refused(self, tmp_path, onnx):
        from onnx import TensorProto, helper, numpy_helper

        def save(name, change):
            proto = sources.save_onnx(tmp_path / name)
            change(proto)
            (tmp_path / name).write_bytes(proto.SerializeToString())

        def second_input(proto):
            proto.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["batch", 2]))

        def outside(proto):
            tensor = proto.graph.initializer[0]
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="../secret.bin")

        def no_dense(proto):
            del proto.graph.node[-1]
            proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["batch", 6]))

        del numpy_helper
        save("two.onnx", second_input)
        save("outside.onnx", outside)
        save("headless.onnx", no_dense)
        (tmp_path / "damaged.onnx").write_bytes(b"not onnx at all")
        os.mkfifo(tmp_path / "pipe.onnx")
        cases = {
            "two": r"takes 2 \(image, other\)", "outside": r"data outside its folder \(../secret.bin\)",
            "damaged": "damaged or no ONNX file", "pipe": "not a regular file", "missing": "is not there",
        }  # fmt: skip
        for name, message in cases.items():
            with pytest.raises(ValueError, match=message):
                load_model(f"onnx:{tmp_path / name}.onnx")
        assert nrjax.extract_features(f"onnx:{tmp_path / 'headless.onnx'}", X).shape[0] == len(X)  # its own output

    def test_external_data_in_its_folder(self, tmp_path, onnx):
        proto = sources.save_onnx(tmp_path / "one.onnx")
        onnx.save_model(
            proto, tmp_path / "two.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0
        )  # fmt: skip
        features = [nrjax.extract_features(f"onnx:{tmp_path / name}.onnx", X) for name in ("one", "two")]
        np.testing.assert_array_equal(*features)
        (tmp_path / "weights.bin").write_bytes(b"")
        with pytest.raises(ValueError, match=r"its data cannot be read|cannot run it"):
            load_model(f"onnx:{tmp_path / 'two.onnx'}")


class TestKeras:
    @pytest.fixture(autouse=True)
    def keras(self):
        return pytest.importorskip("keras", exc_type=ImportError)

    def test_files_that_are_refused(self, tmp_path, keras):
        inputs = keras.Input((4,))
        keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs)).save(tmp_path / "lambda.keras")
        (tmp_path / "damaged.keras").write_bytes(b"?")
        (tmp_path / "old.h5").write_bytes(b"?")
        with zipfile.ZipFile(tmp_path / "code.keras", "w") as archive:
            layers = [{"class_name": "system", "module": "os", "config": {"command": "true"}}]
            archive.writestr("config.json", json.dumps({"class_name": "Functional", "module": "keras",
                                                        "config": {"layers": layers}}))  # fmt: skip
        cases = {
            "lambda.keras": "Lambda layer, which is code in a file", "damaged.keras": "damaged or no .keras file",
            "old.h5": "expected a .keras file", "code.keras": r"names code outside Keras \(os\)",
            "missing.keras": "is not there",
        }  # fmt: skip
        for name, message in cases.items():
            with pytest.raises(ValueError, match=message):
                load_model(f"keras:{tmp_path / name}")
