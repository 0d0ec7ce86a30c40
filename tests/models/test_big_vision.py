"""Vision transformers of big_vision as `.npz`: the forward pass in NumPy, with the arrays as they lie in the file."""

import numpy as np
import pytest
from scipy import special

import nrjax
from tests.models import sources

X = sources.images(6, size=32)
WIDTH, HEADS, HIDDEN, DEPTH, PATCH = 16, 2, 24, 2, 8


def arrays(stacked, cls):
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(0, 0.3, shape).astype(np.float32)  # noqa: E731
    tree = {"embedding/kernel": draw(PATCH, PATCH, 3, WIDTH), "embedding/bias": draw(WIDTH),
            "pos_embedding": draw(1, 16, WIDTH), "head/kernel": draw(WIDTH, 4), "head/bias": draw(4)}  # fmt: skip
    tree |= {"cls": draw(1, 1, WIDTH)} if cls else {}
    tree |= {f"Transformer/encoder_norm/{name}": draw(WIDTH) for name in ("scale", "bias")}
    head = WIDTH // HEADS
    shapes = {"LayerNorm_0/scale": (WIDTH,), "LayerNorm_0/bias": (WIDTH,), "LayerNorm_1/scale": (WIDTH,),
              "LayerNorm_1/bias": (WIDTH,), "MlpBlock_0/Dense_0/kernel": (WIDTH, HIDDEN),
              "MlpBlock_0/Dense_0/bias": (HIDDEN,), "MlpBlock_0/Dense_1/kernel": (HIDDEN, WIDTH),
              "MlpBlock_0/Dense_1/bias": (WIDTH,)}  # fmt: skip
    for part in ("query", "key", "value"):
        shapes |= {f"MultiHeadDotProductAttention_0/{part}/kernel": (WIDTH, HEADS, head),
                   f"MultiHeadDotProductAttention_0/{part}/bias": (HEADS, head)}  # fmt: skip
    shapes |= {"MultiHeadDotProductAttention_0/out/kernel": (HEADS, head, WIDTH),
               "MultiHeadDotProductAttention_0/out/bias": (WIDTH,)}  # fmt: skip
    blocks = [{name: draw(*shape) for name, shape in shapes.items()} for _ in range(DEPTH)]
    if stacked:
        tree |= {f"Transformer/encoderblock/{name}": np.stack([block[name] for block in blocks]) for name in shapes}
    else:
        tree |= {
            f"Transformer/encoderblock_{i}/{name}": block[name] for i, block in enumerate(blocks) for name in block
        }
    return tree, blocks


def norm(x, weights, name):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * weights[f"{name}/scale"] + weights[f"{name}/bias"]


def forward(tree, blocks, images=X):
    """What the head reads."""
    x = images.astype(np.float32) / 127.5 - 1
    patches = x.reshape(len(x), 4, PATCH, 4, PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
    x = np.einsum("nijabc,abcd->nijd", patches, tree["embedding/kernel"]).reshape(len(x), 16, WIDTH)
    x = x + tree["embedding/bias"] + tree["pos_embedding"]
    if "cls" in tree:
        x = np.concatenate([np.repeat(tree["cls"], len(x), 0), x], axis=1)
    for block in blocks:
        y, name = norm(x, block, "LayerNorm_0"), "MultiHeadDotProductAttention_0"
        query, key, value = (
            np.einsum("ntd,dhk->nthk", y, block[f"{name}/{part}/kernel"]) + block[f"{name}/{part}/bias"]
            for part in ("query", "key", "value")
        )
        weights = special.softmax(np.einsum("nqhk,nthk->nhqt", query, key) / np.sqrt(WIDTH // HEADS), axis=-1)
        mixed = np.einsum("nhqt,nthk->nqhk", weights, value)
        x = x + np.einsum("nqhk,hkd->nqd", mixed, block[f"{name}/out/kernel"]) + block[f"{name}/out/bias"]
        y = norm(x, block, "LayerNorm_1") @ block["MlpBlock_0/Dense_0/kernel"] + block["MlpBlock_0/Dense_0/bias"]
        y = 0.5 * y * (1 + special.erf(y / np.sqrt(2)))
        x = x + y @ block["MlpBlock_0/Dense_1/kernel"] + block["MlpBlock_0/Dense_1/bias"]
    x = norm(x, {f"e/{k}": tree[f"Transformer/encoder_norm/{k}"] for k in ("scale", "bias")}, "e")
    return x[:, 0] if "cls" in tree else x.mean(1)


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("cls", [False, True])
def test_big_vision(stacked, cls, tmp_path):
    pytest.importorskip("timm", exc_type=ImportError)
    tree, blocks = arrays(stacked, cls)
    np.savez(tmp_path / "vit.npz", **{f"params/{name}": array for name, array in tree.items()})
    model = nrjax.load_model(f"timm:{tmp_path / 'vit.npz'}")
    expected = forward(tree, blocks)
    assert np.allclose(nrjax.extract_features(model, X), expected, atol=1e-4)
    logits = expected @ tree["head/kernel"] + tree["head/bias"]
    assert np.allclose(nrjax.extract_features(model, X, "output"), logits, atol=1e-4)
    assert model.description.parameters == sum(array.size for array in tree.values())


def test_nearly_right(tmp_path):
    pytest.importorskip("timm", exc_type=ImportError)
    np.savez(tmp_path / "data.npz", images=X)
    np.savez(tmp_path / "pickle.npz", **{"params/embedding/kernel": np.array([print], object)})
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 damaged")
    for name, told in {"data": "it holds no vision transformer of big_vision", "damaged": "it cannot be loaded",
                       "pickle": "it cannot be loaded: Object arrays", "gone": "is not there"}.items():  # fmt: skip
        with pytest.raises(ValueError, match=told) as error:
            nrjax.load_model(f"timm:{tmp_path / name}.npz")
        assert "\n" not in str(error.value)
