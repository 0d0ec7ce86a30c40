"""Samples a second through every source, beside a loop that somebody would write by hand with the framework alone."""

# pyright: reportMissingImports=false

import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

import nrjax
from benchmarks.sources.networks import LITE_INPUT, SIDE, encoder, export, lite, news

RUNS, SECONDS = 4, 60  # of each at least, in turns: one alone is off by a tenth on a machine that is shared
BATCH = 64


class Case(NamedTuple):
    """A source, samples, and the loop by hand from the same samples to the same features."""

    name: str
    model: Any
    samples: Any
    by_hand: Callable[[], np.ndarray]


def speed(wheel: Path | None, data_dir: str | None, on_done: Callable[[str], None]) -> list[dict[str, Any]]:
    """Medians of several runs, by turns; the first of each, which compiles and warms up, does not count."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in _cases(Path(folder), wheel, data_dir):
            ours, theirs = nrjax.extract_features(case.model, case.samples), case.by_hand()
            apart = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
            seconds: dict[str, list[float]] = {"ours": [], "by_hand": []}
            turns: list[tuple[str, Callable[[], Any]]] = [
                ("by_hand", case.by_hand),
                ("ours", lambda case=case: nrjax.extract_features(case.model, case.samples)),
            ]
            begun, i = time.perf_counter(), 0
            while i < RUNS or time.perf_counter() - begun < SECONDS:
                i += 1
                for who, run in turns[:: 1 if i % 2 else -1]:  # neither is always the one that comes later
                    start = time.perf_counter()
                    run()
                    seconds[who].append(time.perf_counter() - start)
            ratios = [a / b for a, b in zip(seconds["by_hand"], seconds["ours"], strict=True)]
            rows.append({
                "source": case.name, "samples": len(case.samples), "apart": apart,
                "ours": len(case.samples) / statistics.median(seconds["ours"]),
                "by_hand": len(case.samples) / statistics.median(seconds["by_hand"]),
                "ratio": statistics.median(ratios), "quartiles": statistics.quantiles(ratios, n=4)[::2],
                "ratios": ratios,
            })  # fmt: skip
            on_done(f"{case.name}: {rows[-1]['ours']:.0f} a second, {rows[-1]['ratio']:.2f} of by hand")
    return rows


def _cases(folder: Path, wheel: Path | None, data_dir: str | None) -> Iterator[Case]:
    cifar = nrjax.load_dataset("cifar10", "test", max_samples=1024, data_dir=data_dir).images
    mnist = nrjax.load_dataset("mnist", "test", max_samples=10_000, data_dir=data_dir).images
    yield _flax(mnist)
    yield _torch(cifar)
    yield _onnx(folder, cifar)
    yield _timm(folder, cifar[:512])
    yield _vit(folder, cifar)
    yield _texts(news(wheel)[0][:256])
    yield _keras(folder, mnist)


def _batches(samples: Any) -> Iterator[Any]:
    return (samples[i : i + BATCH] for i in range(0, len(samples), BATCH))


def _flax(images: np.ndarray) -> Case:
    import jax

    model = nrjax.load_demo().zoo["M10"]
    module, variables = model.definition.module, model.variables

    @jax.jit
    def forward(variables: Any, batch: jax.Array) -> Any:
        hidden = {}

        def keep(next_fun: Any, args: Any, kwargs: Any, context: Any) -> Any:
            hidden[context.module.name] = out = next_fun(*args, **kwargs)
            return out

        from flax import linen as nn

        with nn.intercept_methods(keep):
            module.apply(variables, batch.astype(np.float32) / 255)
        return hidden["dense"]

    def by_hand() -> np.ndarray:
        return np.concatenate([np.asarray(forward(variables, images[i : i + 250])) for i in range(0, len(images), 250)])

    return Case("Flax, the paper's CNN, 28 x 28", model, images, by_hand)


def _sized(batch: np.ndarray) -> np.ndarray:
    sized = [np.asarray(Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for one in batch]
    return ((np.stack(sized).astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2)


def _torch(images: np.ndarray) -> Case:
    import torch

    module = lite(0)

    def by_hand() -> np.ndarray:
        found = []
        with torch.inference_mode():
            for batch in _batches(images):
                pixels = torch.from_numpy(np.ascontiguousarray(_sized(batch)))
                found.append(module.extract_features(pixels).mean(dim=(2, 3)).numpy())
        return np.concatenate(found)

    return Case("PyTorch, EfficientNet-Lite0, 112 x 112", nrjax.from_torch(module, preprocessing=LITE_INPUT), images,
                by_hand)  # fmt: skip


def _onnx(folder: Path, images: np.ndarray) -> Case:
    import onnx
    import onnxruntime

    path = export(lite(0), folder / "lite0.onnx")
    proto = onnx.load(path)
    name = [node.input[0] for node in proto.graph.node if node.op_type == "Gemm"][-1]
    proto.graph.output.append(onnx.ValueInfoProto(name=name))
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])

    def by_hand() -> np.ndarray:
        return np.concatenate([session.run([name], {"image": _sized(batch)})[0] for batch in _batches(images)])

    model = nrjax.load_model(f"onnx:{path}", preprocessing=LITE_INPUT)
    return Case("ONNX, EfficientNet-Lite0, 112 x 112", model, images, by_hand)


def _timm(folder: Path, images: np.ndarray) -> Case:
    import timm
    import torch

    module = timm.create_model("resnet18", pretrained=False).eval()
    timm.models.save_for_hf(module, folder / "resnet18", safe_serialization=True)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(module), is_training=False)

    def by_hand() -> np.ndarray:
        found = []
        with torch.inference_mode():
            for batch in _batches(images):
                pixels = torch.stack([transform(Image.fromarray(one)) for one in batch])
                found.append(module.forward_head(module.forward_features(pixels), pre_logits=True).numpy())
        return np.concatenate(found)

    return Case("timm, ResNet-18, 224 x 224", nrjax.load_model(f"timm:{folder / 'resnet18'}"), images, by_hand)


def _vit(folder: Path, images: np.ndarray) -> Case:
    import torch
    import transformers

    config = transformers.ViTConfig(hidden_size=192, num_hidden_layers=12, num_attention_heads=3,
                                    intermediate_size=768, image_size=112, patch_size=16)  # fmt: skip
    module = transformers.ViTModel(config, add_pooling_layer=False).eval()
    module.save_pretrained(folder / "vit")
    processor = transformers.ViTImageProcessor(size={"height": SIDE, "width": SIDE})
    processor.save_pretrained(folder / "vit")

    def by_hand() -> np.ndarray:
        found = []
        with torch.inference_mode():
            for batch in _batches(images):
                read = processor([Image.fromarray(one) for one in batch], return_tensors="pt")
                found.append(module(**read).last_hidden_state[:, 0].numpy())
        return np.concatenate(found)

    return Case("Hugging Face, ViT-tiny, 112 x 112", nrjax.load_model(f"hf:{folder / 'vit'}"), images, by_hand)


def _texts(texts: list[str]) -> Case:
    from sentence_transformers import SentenceTransformer

    module = SentenceTransformer(str(encoder()))
    return Case("Hugging Face, MiniLM, news; by hand: sentence-transformers", nrjax.load_model(f"hf:{encoder()}"),
                texts, lambda: module.encode(texts, batch_size=BATCH))  # fmt: skip


def _keras(folder: Path, images: np.ndarray) -> Case:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    inputs = keras.Input((28, 28, 1))
    hidden = keras.layers.Conv2D(32, 5, activation="relu")(inputs)
    hidden = keras.layers.Flatten()(keras.layers.MaxPooling2D()(hidden))
    hidden = keras.layers.Dense(128, activation="relu")(hidden)
    keras.Model(inputs, keras.layers.Dense(10)(hidden)).save(folder / "net.keras")
    lower = keras.Model(inputs, hidden)
    model = nrjax.load_model(f"keras:{folder / 'net.keras'}")
    return Case("Keras, a small CNN, 28 x 28", model, images,
                lambda: lower.predict(images.astype(np.float32) / 255, batch_size=256, verbose=0))  # fmt: skip
