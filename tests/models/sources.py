"""One small model of every source, with random weights, saved to disk where it has files; what its framework says."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrjax
from nrjax.models import Model
from tests.conftest import tiny_variables

CLASSES = 4
WORDS = ["red", "green", "blue", "cat", "dog", "house", "tree", "water"]
os.environ.setdefault("KERAS_BACKEND", "jax")


@dataclasses.dataclass
class Source:
    """A model, samples for it, and the penultimate features by its framework alone.

    Attributes:
      model: ready.
      samples: images or texts.
      expected: `[samples, dims]` of the penultimate layer.
      order: names of some layers, in order of execution.
      changed: the same model with one weight changed.
      live: the framework's own object, whose mode of training must stay.
    """

    model: Model
    samples: Any
    expected: np.ndarray
    order: list[str]
    changed: Callable[[], Model]
    live: Any = None


def images(samples: int = 10, size: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (samples, size, size, 3)).astype(np.uint8)


def texts(samples: int = 10) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(samples)]


def channels_first(batch: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255


def torch_network(seed: int = 0) -> Any:
    import torch

    torch.manual_seed(seed)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3), torch.nn.ReLU(inplace=True), torch.nn.BatchNorm2d(6), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(6, CLASSES),
    )  # fmt: skip
    net[2].running_mean += 0.3
    return net


def linen(folder: Path) -> Source:
    x = images(size=8)[..., :1].copy()
    module, variables = tiny_variables()
    expected = nrjax.extract_features((module, variables), x.astype(np.float32) / 255, "dense")
    make = lambda seed: nrjax.from_linen(*tiny_variables(seed), input_shape=(8, 8, 1))  # noqa: E731
    return Source(make(0), x, expected, ["input", "conv1", "dense", "logits"], lambda: make(1))


def nnx(folder: Path) -> Source:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, seed):
            rngs = nnx.Rngs(seed)
            self.conv, self.norm = nnx.Conv(3, 5, (3, 3), rngs=rngs), nnx.BatchNorm(5, rngs=rngs)
            self.drop, self.head = nnx.Dropout(0.5, rngs=rngs), nnx.Linear(5, CLASSES, rngs=rngs)

        def __call__(self, x):
            return self.head(self.drop(self.norm(self.conv(x)).mean((1, 2))))

    x, net = images(), Net(0)
    inference = nnx.view(net, deterministic=True, use_running_average=True, raise_if_not_found=False)
    expected = np.asarray(inference.norm(inference.conv(x.astype(np.float32) / 255)).mean((1, 2)))
    make = lambda seed: nrjax.from_nnx(Net(seed), input_shape=(32, 32, 3))  # noqa: E731
    return Source(make(0), x, expected, ["input", "conv", "norm", "head"], lambda: make(1))


def function(folder: Path) -> Source:
    x = images()

    def apply(params, batch):
        hidden = batch.reshape(len(batch), -1) @ params["w"]
        return {"hidden": hidden, "penultimate": hidden * 2, "out": hidden @ params["v"]}

    def make(scale):
        rng = np.random.default_rng(0)
        params = {"w": rng.normal(size=(3072, 7)).astype(np.float32) * scale,
                  "v": rng.normal(size=(7, 3)).astype(np.float32)}  # fmt: skip
        return params, nrjax.from_function(apply, params, input_shape=(32, 32, 3))

    params, model = make(1)
    expected = 2 * (x.reshape(10, -1).astype(np.float32) / 255) @ params["w"]
    return Source(model, x, expected, ["input", "hidden", "out"], lambda: make(1.001)[1])


def torch(folder: Path) -> Source:
    pytest.importorskip("torch", exc_type=ImportError)
    import torch

    x, net = images(), torch_network()
    with torch.no_grad():
        expected = net.eval()[:-1](channels_first(x)).numpy()
    make = lambda net: nrjax.from_torch(net, input_shape=(32, 32, 3))  # noqa: E731
    return Source(make(net.train()), x, expected, ["input", "0", "1", "2", "6", "output"],
                  lambda: make(torch_network(1)), net)  # fmt: skip


def timm(folder: Path) -> Source:
    timm = pytest.importorskip("timm", exc_type=ImportError)
    import torch
    from PIL import Image

    def make(seed):
        torch.manual_seed(seed)
        net = timm.create_model("test_resnet", pretrained=False, num_classes=CLASSES).eval()
        timm.models.save_for_hf(net, folder / f"timm{seed}", safe_serialization=True)
        return net, nrjax.load_model(f"timm:{folder / f'timm{seed}'}")

    x, (net, model) = images(), make(0)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(net), is_training=False)
    batch = torch.stack([transform(Image.fromarray(image)) for image in x])
    with torch.no_grad():
        expected = net.forward_head(net.forward_features(batch), pre_logits=True).numpy()
    return Source(model, x, expected, ["input", "conv1", "layer1.0", "fc", "output"], lambda: make(1)[1])


def vit(folder: Path) -> Source:
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    import torch

    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8,
        num_labels=CLASSES,
    )  # fmt: skip

    def make(seed):
        torch.manual_seed(seed)
        net = transformers.ViTForImageClassification(config).eval()
        net.save_pretrained(folder / f"vit{seed}")
        processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
        processor.save_pretrained(folder / f"vit{seed}")
        return net, processor, nrjax.load_model(f"hf:{folder / f'vit{seed}'}")

    x, (net, processor, model) = images(size=40), make(0)
    with torch.no_grad():
        pixels = torch.from_numpy(np.asarray(processor(list(x), return_tensors="np")["pixel_values"]))
        expected = net.vit(pixels).last_hidden_state[:, 0].numpy()
    return Source(model, x, expected, ["hidden_states.0", "hidden_states.3", "pooled"], lambda: make(1)[2])


def save_bert(folder: Path, seed: int, **changes: Any) -> Any:
    """A small BERT with a tokenizer of whole words."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    config = transformers.BertConfig(**{
        "vocab_size": len(vocabulary), "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 16,
    } | changes)  # fmt: skip
    torch.manual_seed(seed)
    net = transformers.BertModel(config, add_pooling_layer=False).eval()
    net.save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    return net


def bert(folder: Path) -> Source:
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    import torch

    x, net = texts(), save_bert(folder / "bert0", 0)
    tokens = transformers.AutoTokenizer.from_pretrained(folder / "bert0")
    rows = []
    with torch.no_grad():
        for text in x:  # one at a time: nothing is padded
            rows.append(net(**tokens(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy())

    def changed():
        save_bert(folder / "bert1", 1)
        return nrjax.load_model(f"hf:{folder / 'bert1'}")

    return Source(nrjax.load_model(f"hf:{folder / 'bert0'}"), x, np.stack(rows),
                  ["hidden_states.0", "hidden_states.3", "pooled"], changed)  # fmt: skip


def save_onnx(path: Path, seed: int = 0, batch: Any = "batch", classes: int = CLASSES, size: int = 32) -> Any:
    """Convolution, ReLU, mean and Gemm, written by hand: `onnx` has no need of another framework."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(seed)
    weights = {
        "kernel": rng.normal(size=(6, 3, 3, 3)), "bias": rng.normal(size=6), "head": rng.normal(size=(6, classes)),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["image", "kernel", "bias"], ["conv"]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("Gemm", ["flat", "head"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, size, size])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, classes])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return model


def onnx(folder: Path) -> Source:
    pytest.importorskip("onnx", exc_type=ImportError)
    runtime = pytest.importorskip("onnxruntime", exc_type=ImportError)
    from onnx import numpy_helper

    x, proto = images(), save_onnx(folder / "net.onnx")
    head = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}["head"]
    session = runtime.InferenceSession(folder / "net.onnx", providers=["CPUExecutionProvider"])
    logits = session.run(None, {"image": x.transpose(0, 3, 1, 2).astype(np.float32) / 255})[0]

    def changed():
        save_onnx(folder / "other.onnx", seed=1)
        return nrjax.load_model(f"onnx:{folder / 'other.onnx'}")

    model = nrjax.load_model(f"onnx:{folder / 'net.onnx'}")
    assert np.allclose(nrjax.extract_features(model, x) @ head, logits, atol=1e-5)
    kernel = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float32) / 255, (3, 3), axis=(1, 2))
    conv = np.einsum("nhwcij,ocij->nhwo", windows, kernel["kernel"]) + kernel["bias"]
    expected = np.maximum(conv, 0).mean(axis=(1, 2))
    return Source(model, x, expected, ["input", "conv", "relu", "flat", "logits"], changed)


def keras(folder: Path) -> Source:
    keras = pytest.importorskip("keras", exc_type=ImportError)

    def make(seed):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((32, 32, 3))
        hidden = keras.layers.Rescaling(1 / 255)(inputs)
        hidden = keras.layers.Conv2D(6, 3, activation="relu", name="conv")(hidden)
        hidden = keras.layers.GlobalAveragePooling2D(name="pool")(hidden)
        hidden = keras.layers.Dropout(0.5, name="drop")(hidden)
        net = keras.Model(inputs, keras.layers.Dense(CLASSES, name="head")(hidden))
        net.save(folder / f"net{seed}.keras")
        return keras.Model(inputs, hidden), nrjax.load_model(f"keras:{folder / f'net{seed}.keras'}")

    x, (lower, model) = images(), make(0)
    expected = np.asarray(lower(x.astype(np.float32), training=False))
    return Source(model, x, expected, ["input", "conv", "pool", "head"], lambda: make(1)[1])


SOURCES = [linen, nnx, function, torch, timm, vit, bert, onnx, keras]
