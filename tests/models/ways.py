"""Every source in every way that people hold it: live, as a file, as a directory, by its name in the hub's cache.

The features that are expected come from the framework alone, one sample at a time where batches would be padded.
"""

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import nrjax
from tests.models import (
    sources,
    test_adapters,
    test_big_vision,
    test_flax_files,
    test_jax_own,
    test_litert,
    test_parts,
)  # fmt: skip

PER_CLASS, SIDE = 10, 32
TOPICS = ("cat", "dog", "house", "tree")


class Case(NamedTuple):
    """A source: features by its framework, and the candidates that should have them by how they are held."""

    source: str
    expected: Any
    held: dict[str, Any]
    layer: str = "penultimate"


@functools.cache
def images() -> tuple[np.ndarray, np.ndarray]:
    """Clothes of four kinds in three channels, and their labels."""
    _, pixels, labels = nrjax.load_demo()
    chosen = np.concatenate([np.flatnonzero(labels == label)[:PER_CLASS] for label in range(4)])
    return np.repeat(np.pad(pixels[chosen], ((0, 0), (2, 2), (2, 2), (0, 0))), 3, axis=3), labels[chosen]


@functools.cache
def texts() -> tuple[list[str], list[str]]:
    """Words around a topic, and the topic."""
    rng, others = np.random.default_rng(0), [word for word in sources.WORDS if word not in TOPICS]
    labels = [topic for topic in TOPICS for _ in range(PER_CLASS)]
    return [" ".join([*rng.choice(others, rng.integers(1, 9)), topic, topic]) for topic in labels], labels


def save_in_cache(hub: Path, name: str, folder: Path) -> None:
    """Puts a directory into a cache of the hub."""
    repository = hub / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, repository / "snapshots" / "1234")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("1234")


def _pixels() -> np.ndarray:
    return images()[0].astype(np.float32) / 255


def _flax(place: Path, hub: Path) -> Iterator[Case]:
    config = {"classes": 4, "conv_features": (3,), "dense_features": 9}
    module = nrjax.models.paper_cnn(**config)
    variables = module.init(jax.random.key(0), _pixels())
    state = module.apply(variables, _pixels(), capture_intermediates=True, mutable=["intermediates"])[1]
    nrjax.save_model(place / "zoo", "flax", variables, architecture="paper_cnn", input_shape=(SIDE, SIDE, 3),
                     config={key: list(v) if isinstance(v, tuple) else v for key, v in config.items()})  # fmt: skip
    yield Case("Flax linen", state["intermediates"]["dense"]["__call__"][0],
               {"live": (module, variables), "directory": str(place / "zoo")})  # fmt: skip
    rngs = nnx.Rngs(0)
    conv, head = nnx.Conv(3, 5, (3, 3), rngs=rngs), nnx.Linear(5, 4, rngs=rngs)
    yield Case("Flax NNX", conv(_pixels()).mean((1, 2)), {"live": nnx.Sequential(conv, lambda x: x.mean((1, 2)), head)})


def _jax(place: Path, hub: Path) -> Iterator[Case]:
    kernel = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)
    apply = jax.jit(lambda x: jnp.tanh(x.mean((1, 2)) @ kernel))
    pytest.importorskip("flatbuffers", exc_type=ImportError)
    (samples,) = jax.export.symbolic_shape("samples")
    program = jax.export.export(apply)(jax.ShapeDtypeStruct((samples, SIDE, SIDE, 3), jnp.float32))
    (place / "net.jax").write_bytes(program.serialize())
    yield Case("jax.export", apply(_pixels()), {"live": program, "file": f"jax:{place / 'net.jax'}"})


def _equinox(place: Path, hub: Path) -> Iterator[Case]:
    module = test_jax_own.network(pytest.importorskip("equinox"))
    hidden = jax.vmap(module.conv)(np.moveaxis(_pixels(), 3, 1))
    yield Case("Equinox", jax.vmap(module.norm)(jax.nn.relu(hidden).mean((2, 3))), {"live": module})


def _haiku(place: Path, hub: Path) -> Iterator[Case]:
    haiku = pytest.importorskip("haiku")
    body = haiku.transform(lambda x: jax.nn.relu(haiku.Conv2D(5, 3, name="conv")(x)).mean((1, 2)))
    whole = haiku.transform(
        lambda x: haiku.Linear(4, name="head")(jax.nn.relu(haiku.Conv2D(5, 3, name="conv")(x)).mean((1, 2)))
    )
    params = whole.init(jax.random.key(0), _pixels())
    yield Case("Haiku", body.apply({"conv": params["conv"]}, None, _pixels()), {"live": (whole, params)})


def _torch(place: Path, hub: Path) -> Iterator[Case]:
    torch = pytest.importorskip("torch", exc_type=ImportError)
    import safetensors.torch

    network, batch = sources.torch_network().eval(), sources.channels_first(images()[0]).contiguous()
    sizes = ({0: torch.export.Dim("batch", min=1, max=4096)},)
    torch.export.save(torch.export.export(network, (batch,), dynamic_shapes=sizes), place / "net.pt2")
    safetensors.torch.save_file(network.state_dict(), place / "net.safetensors")
    with torch.no_grad():
        hidden, logits = network[:-1](batch).numpy(), network(batch).numpy()
        torch.jit.trace(network, batch[:2]).save(place / "net.pt")
    weights = nrjax.load_model(f"torch:{place / 'net.safetensors'}", builder=lambda: sources.torch_network(5))
    yield Case("PyTorch; torch.export", hidden, {"live": network, "file": f"torch:{place / 'net.pt2'}"})
    yield Case("PyTorch, safetensors with a builder", hidden, {"file": weights})
    yield Case("PyTorch, TorchScript", logits, {"file": f"torch:{place / 'net.pt'}"}, "output")


def _timm(place: Path, hub: Path) -> Iterator[Case]:
    timm = pytest.importorskip("timm", exc_type=ImportError)
    import torch
    from PIL import Image

    torch.manual_seed(0)
    (place / "runs").mkdir()
    network = timm.create_model("test_resnet.r160_in1k", pretrained=False).eval()
    timm.models.save_for_hf(network, place / "runs" / "resnet", safe_serialization=True)
    save_in_cache(hub, "timm/test_resnet.r160_in1k", place / "runs" / "resnet")
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network), is_training=False)
    batch = torch.stack([transform(Image.fromarray(image)) for image in images()[0]])
    with torch.no_grad():
        expected = network.forward_head(network.forward_features(batch), pre_logits=True).numpy()
    held = {"live": network, "directory": f"timm:{place / 'runs' / '*'}", "name": "timm:test_resnet.r160_in1k"}
    yield Case("timm", expected, held)
    tree, blocks = test_big_vision.arrays(stacked=False, cls=True)
    np.savez(place / "vit.npz", **{f"params/{name}": array for name, array in tree.items()})
    yield Case("big_vision", test_big_vision.forward(tree, blocks, images()[0]), {"file": f"timm:{place / 'vit.npz'}"})


def _vit(place: Path, hub: Path) -> Iterator[Case]:
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    import torch

    torch.manual_seed(0)
    network = transformers.ViTForImageClassification(transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=SIDE, patch_size=8
    )).eval()  # fmt: skip
    processor = transformers.ViTImageProcessor(size={"height": SIDE, "width": SIDE})
    for part in (network, processor):
        part.save_pretrained(place / "vit")
    save_in_cache(hub, "owner/vit", place / "vit")
    with torch.no_grad():
        expected = network.vit(**processor(list(images()[0]), return_tensors="pt")).last_hidden_state[:, 0].numpy()
    yield Case("Hugging Face", expected,
               {"live": (network, processor), "directory": f"hf:{place / 'vit'}", "name": "hf:owner/vit"})  # fmt: skip


def _clip(place: Path, hub: Path, *, of_texts: bool = False) -> Iterator[Case]:
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    import torch

    sources.save_bert(place / "words", 0)
    network = test_parts.save_clip(place / "clip", place / "words")
    processor = transformers.AutoImageProcessor.from_pretrained(place / "clip")
    tokenizer = transformers.AutoTokenizer.from_pretrained(place / "clip")
    save_in_cache(hub, "owner/clip", place / "clip")
    with torch.no_grad():
        if of_texts:
            found = [network.get_text_features(**tokenizer(text, return_tensors="pt")) for text in texts()[0]]
        else:
            found = [network.get_image_features(**processor(list(images()[0]), return_tensors="pt"))]
    expected = torch.cat([getattr(output, "pooler_output", output) for output in found]).numpy()
    both = (network, transformers.CLIPProcessor(processor, tokenizer))
    yield Case("CLIP", expected, {"live": both, "directory": f"hf:{place / 'clip'}", "name": "hf:owner/clip"})


def _onnx(place: Path, hub: Path) -> Iterator[Case]:
    runtime = pytest.importorskip("onnxruntime", exc_type=ImportError)
    onnx = pytest.importorskip("onnx", exc_type=ImportError)
    proto = sources.save_onnx(place / "net.onnx")
    proto.graph.output.append(onnx.ValueInfoProto(name="flat"))
    session = runtime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(["flat"], {"image": np.moveaxis(_pixels(), 3, 1)})[0]
    yield Case("ONNX", expected, {"file": f"onnx:{place / 'net.onnx'}"})
    openvino = pytest.importorskip("openvino")
    openvino.save_model(openvino.convert_model(place / "net.onnx"), place / "net.xml", compress_to_fp16=False)
    exported = nrjax.load_model(f"openvino:{place / 'net.xml'}", preprocessing=nrjax.Preprocessing())
    yield Case("OpenVINO", expected, {"file": exported})


def _litert(place: Path, hub: Path) -> Iterator[Case]:
    runtime = pytest.importorskip("ai_edge_litert.interpreter")
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    name = test_litert.save(schema, place / "net.tflite", side=SIDE)
    network = runtime.Interpreter(name.partition(":")[2], experimental_preserve_all_tensors=True)
    network.allocate_tensors()
    places = {tensor["name"]: tensor["index"] for tensor in network.get_tensor_details()}
    rows = []
    for sample in _pixels():
        network.set_tensor(places["image"], sample[None])
        network.invoke()
        rows.append(network.get_tensor(places["mean"])[0])
    model = nrjax.load_model(name, preprocessing=nrjax.Preprocessing())
    yield Case("LiteRT", np.stack(rows), {"file": model})


def _keras(place: Path, hub: Path) -> Iterator[Case]:
    keras = pytest.importorskip("keras", exc_type=ImportError)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIDE, SIDE, 3))
    hidden = keras.layers.Conv2D(6, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(inputs))
    hidden = keras.layers.GlobalAveragePooling2D()(hidden)
    network = keras.Model(inputs, keras.layers.Dense(4)(hidden))
    network.save(place / "net.keras")
    expected = keras.Model(inputs, hidden)(images()[0].astype(np.float32), training=False)
    yield Case("Keras", np.asarray(expected), {"live": network, "file": f"keras:{place / 'net.keras'}"})


def _bert(place: Path, hub: Path) -> Iterator[Case]:
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    network = sources.save_bert(place / "bert", 0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(place / "bert")
    save_in_cache(hub, "owner/bert", place / "bert")
    shutil.copytree(place / "bert", place / "flax")
    test_flax_files.write(network, place / "flax")
    expected = test_parts.of_texts(network, tokenizer, texts()[0], test_parts.mean_of_tokens)
    held = {"live": (network, tokenizer), "directory": f"hf:{place / 'bert'}", "name": "hf:owner/bert"}
    yield Case("Hugging Face", expected, held)
    yield Case("Hugging Face, weights of Flax", expected, {"directory": f"hf:{place / 'flax'}"})
    pytest.importorskip("onnx", exc_type=ImportError)
    _export_texts(network, tokenizer, place / "bert" / "net.onnx")
    yield Case("ONNX", expected, {"file": f"onnx:{place / 'bert' / 'net.onnx'}"})


def _export_texts(network: Any, tokenizer: Any, path: Path) -> None:
    import torch

    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, tokens, mask):
            return self.network(input_ids=tokens, attention_mask=mask).last_hidden_state

    names = ["input_ids", "attention_mask"]
    given = tokenizer(["red cat", "dog"], padding=True, return_tensors="pt")
    torch.onnx.export(
        Plain().eval(), tuple(given[name] for name in names), path, input_names=names, dynamo=False,
        output_names=["last_hidden_state"], dynamic_axes={name: {0: "batch", 1: "tokens"} for name in names},
    )  # fmt: skip


def _gguf(place: Path, hub: Path) -> Iterator[Case]:
    llama_cpp, _ = pytest.importorskip("llama_cpp"), pytest.importorskip("gguf")
    from tests.models import test_gguf

    file = test_gguf.save(place / "bert.gguf", sources.save_bert(place / "wide", 0, hidden_size=64))
    alone = llama_cpp.Llama(str(file), embedding=True, n_ctx=16, verbose=False)
    expected = np.concatenate([alone.embed([text]) for text in texts()[0]])
    yield Case("GGUF", expected, {"file": f"gguf:{file}"})


def _lora(place: Path, hub: Path) -> Iterator[Case]:
    network = test_adapters.save(pytest.importorskip("peft", exc_type=ImportError), place)
    expected = test_adapters.alone(network, place, texts()[0])
    yield Case("LoRA of PEFT", expected, {"directory": f"hf:{place / 'lora'}"})


def _sentences(place: Path, hub: Path) -> Iterator[Case]:
    pytest.importorskip("sentence_transformers")
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules", reason="an older release")
    sources.save_bert(place / "bert", 0)
    parts = modules.Transformer(str(place / "bert")), modules.Pooling(16, pooling_mode="mean"), modules.Normalize()
    encoder = test_parts.write(place / "sentences", *parts)
    save_in_cache(hub, "owner/sentences", place / "sentences")
    expected = encoder.encode(texts()[0], batch_size=1, show_progress_bar=False)
    yield Case("sentence-transformers", expected,
               {"live": encoder, "directory": f"hf:{place / 'sentences'}", "name": "hf:owner/sentences"})  # fmt: skip


OF_IMAGES: list[Callable[[Path, Path], Iterator[Case]]] = [
    _flax, _jax, _equinox, _haiku, _torch, _timm, _vit, _clip, _onnx, _litert, _keras,
]  # fmt: skip
OF_TEXTS: list[Callable[[Path, Path], Iterator[Case]]] = [
    _bert, functools.partial(_clip, of_texts=True), _sentences, _lora, _gguf,
]  # fmt: skip
