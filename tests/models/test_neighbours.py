"""Samples beside others have the features that they have alone: texts of any length, images, quantised layers."""

import copy
import warnings

import numpy as np
import pytest

from nrjax import extract_features, from_embedder
from tests.models import sources

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (4, 40, 50, 3)).astype(np.uint8)


def test_layers_that_are_quantised_by_the_range_of_a_batch():
    torch = pytest.importorskip("torch")
    rows = (RNG.normal(size=(300, 32)) * RNG.uniform(0.1, 5, (300, 1))).astype(np.float32)
    linear = torch.nn.Linear
    layers = linear(32, 64), torch.nn.ReLU(), linear(64, 16), torch.nn.ReLU(), linear(16, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(*layers).eval(), {linear}, torch.qint8)
    with pytest.warns(RuntimeWarning, match="samples run one by one"):
        features = extract_features(network, rows)
    alone = [network[:4](torch.tensor(row[None])) for row in rows]
    assert np.allclose(features, torch.cat(alone).numpy(), atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_onnx_files_that_are_quantised_by_the_range_of_a_batch(tmp_path):
    torch = pytest.importorskip("torch")
    quantization = pytest.importorskip("onnxruntime.quantization")
    rows = (RNG.normal(size=(50, 32)) * RNG.uniform(0.1, 5, (50, 1))).astype(np.float32)
    layers = torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3)
    torch.onnx.export(
        torch.nn.Sequential(*layers).eval(), (torch.tensor(rows),), str(tmp_path / "net.onnx"), dynamo=False,
        input_names=["x"], dynamic_axes={"x": {0: "samples"}},
    )  # fmt: skip
    # without `reduce_range`, sums of eight bits overflow on CPUs that have no VNNI
    quantization.quantize_dynamic(str(tmp_path / "net.onnx"), str(tmp_path / "small.onnx"), reduce_range=True)
    features = extract_features(f"onnx:{tmp_path / 'small.onnx'}", rows)
    right = torch.nn.Sequential(*layers[:2])(torch.tensor(rows)).detach().numpy()
    assert features.shape == right.shape  # what the head reads, and not its answers
    assert np.abs(features - right).max() < 0.05 * np.abs(right).max()
    alone = [extract_features(f"onnx:{tmp_path / 'small.onnx'}", row[None]) for row in rows[:5]]
    assert np.array_equal(features[:5], np.concatenate(alone))


def test_processors_that_pad_images():
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    config = transformers.YolosConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=[64, 64],
        patch_size=16, num_detection_tokens=2,
    )  # fmt: skip
    processor = transformers.YolosImageProcessor(size={"shortest_edge": 48, "longest_edge": 96})
    pair = transformers.YolosModel(config).eval(), processor
    assert len(extract_features(pair, PICTURES)) == 4
    with pytest.raises(ValueError, match="pads images of several sizes to one"):
        extract_features(pair, [PICTURES[0], PICTURES[1][:20]])


@pytest.mark.parametrize("kind", ["BigBird", "Reformer"])
def test_texts_of_half_the_length_of_the_longest(kind, tmp_path):
    """Padding changes neither the shortest nor the longest text of these networks, but those between."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    sources.save_bert(tmp_path, 0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    shared = {"vocab_size": len(tokenizer), "hidden_size": 16, "num_attention_heads": 2, "pad_token_id": 0}
    if kind == "BigBird":
        config = transformers.BigBirdConfig(
            **shared, num_hidden_layers=2, intermediate_size=32, max_position_embeddings=128, block_size=4,
            num_random_blocks=1, attention_type="block_sparse",
        )  # fmt: skip
    else:
        config = transformers.ReformerConfig(
            **shared, attention_head_size=8, feed_forward_size=32, attn_layers=["local", "local"], is_decoder=False,
            axial_pos_embds=False, max_position_embeddings=128, local_attn_chunk_length=16,
        )  # fmt: skip
    network = getattr(transformers, f"{kind}Model")(config).eval()
    torch.manual_seed(0)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    texts = [" ".join(RNG.choice(sources.WORDS, size=n)) for n in (60, 40, 31, 29, 9, 2, 1, 55)]
    with torch.inference_mode():
        alone = [
            copy.deepcopy(network)(input_ids=tokenizer(text, return_tensors="pt")["input_ids"]).last_hidden_state
            for text in texts
        ]  # each by a network that has seen no other text
    right = np.concatenate([state.mean(1).numpy() for state in alone])
    with pytest.warns(RuntimeWarning, match="texts of one length run together"):
        features = extract_features((network, tokenizer), texts)
    assert np.allclose(features, right, atol=1e-4)
    assert getattr(network, "attention_type", "block_sparse") == "block_sparse"


def test_functions_that_change_what_they_get():
    pictures = [PICTURES[0][:, : 20 + i % 3].copy() for i in range(8)]
    before = [picture.copy() for picture in pictures]

    def changes(batch):
        for picture in batch:
            picture *= 0
        return np.ones((len(batch), 2))

    extract_features(from_embedder(changes), pictures)
    assert all(np.array_equal(*pair) for pair in zip(pictures, before, strict=True))
