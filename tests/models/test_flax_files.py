"""`flax_model.msgpack` of older releases of transformers: what PyTorch's network of the same weights gives."""

from typing import Any

import numpy as np
import pytest
from flax import serialization

import nrjax
from tests.models import sources

T, X = sources.texts(12), sources.images(12, size=40)


def write(module, folder):
    """The weights as those releases wrote them, by the kinds of modules: kernels `[in, out]`, scales, embeddings."""
    import torch

    tree: Any = {}
    kinds = {torch.nn.Linear: "kernel", torch.nn.Conv2d: "kernel", torch.nn.LayerNorm: "scale",
             torch.nn.Embedding: "embedding"}  # fmt: skip
    parts = dict(module.named_modules())
    for name, weight in module.state_dict().items():
        *path, last = name.split(".")
        value, owner = weight.numpy(), parts[".".join(path)]
        if last == "weight":
            last = next(flax for kind, flax in kinds.items() if isinstance(owner, kind))
            if isinstance(owner, torch.nn.Conv2d):
                value = np.moveaxis(value, (2, 3, 1, 0), (0, 1, 2, 3))
            elif last == "kernel":
                value = value.T
        place = tree
        for part in path:
            place = place.setdefault(part, {})
        place[last] = np.ascontiguousarray(value)
    (folder / "flax_model.msgpack").write_bytes(serialization.msgpack_serialize(tree))
    (folder / "model.safetensors").unlink()


@pytest.fixture
def transformers():
    pytest.importorskip("torch", exc_type=ImportError)
    return pytest.importorskip("transformers", exc_type=ImportError)


def test_texts(transformers, tmp_path):
    network = sources.save_bert(tmp_path / "bert", 0)
    name = f"hf:{tmp_path / 'bert'}"
    expected = nrjax.extract_features(name, T)
    write(network, tmp_path / "bert")
    assert np.allclose(nrjax.extract_features(name, T), expected, atol=1e-6)


def test_images_with_a_classifier(transformers, tmp_path):
    source = sources.vit(tmp_path)
    network = transformers.ViTForImageClassification.from_pretrained(tmp_path / "vit0")
    write(network, tmp_path / "vit0")
    assert np.allclose(nrjax.extract_features(f"hf:{tmp_path / 'vit0'}", source.samples), source.expected, atol=1e-5)


def test_nearly_right(transformers, tmp_path):
    network = sources.save_bert(tmp_path / "bert", 0)
    write(network, tmp_path / "bert")
    path = tmp_path / "bert" / "flax_model.msgpack"
    tree: Any = serialization.msgpack_restore(path.read_bytes())
    del tree["encoder"]["layer"]["0"]["output"]
    path.write_bytes(serialization.msgpack_serialize(tree))
    with pytest.raises(ValueError, match=r"its weights do not fit the architecture: encoder\.layer\.0\.output\."):
        nrjax.load_model(f"hf:{tmp_path / 'bert'}")
    path.write_bytes(b"\xc1 damaged")
    with pytest.raises(ValueError, match=r"its weights cannot be loaded: flax_model\.msgpack cannot be read"):
        nrjax.load_model(f"hf:{tmp_path / 'bert'}")
