"""Models of images and texts: embeddings, layers of each tower, and zero-shot classifiers from names of classes."""

import numpy as np
import pytest

import nrjax
from tests.models import sources
from tests.models.test_parts import save_clip

X, T = sources.images(12, size=40), sources.texts(12)
CLASSES = ("cat", "dog", "house")
LABELS = [CLASSES[i % 3] for i in range(12)]


def save_siglip(place, bert, seed=0):
    import torch
    import transformers

    torch.manual_seed(seed)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.SiglipConfig(
        text_config={"vocab_size": 12, "max_position_embeddings": 16, **small},
        vision_config={"image_size": 32, "patch_size": 8, **small},
    )  # fmt: skip
    net = transformers.SiglipModel(config).eval()
    net.save_pretrained(place)
    transformers.AutoTokenizer.from_pretrained(bert).save_pretrained(place)
    transformers.SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(place)
    return net


@pytest.fixture(scope="module", params=["clip", "siglip"])
def towers(request, tmp_path_factory):
    """The network, its folder, its pixels and its tokens of each text alone."""
    pytest.importorskip("torch", exc_type=ImportError)
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    place = tmp_path_factory.mktemp("towers")
    sources.save_bert(place / "bert", 0)
    net = {"clip": save_clip, "siglip": save_siglip}[request.param](place / request.param, place / "bert")
    processor = transformers.AutoImageProcessor.from_pretrained(place / request.param)
    tokenizer = transformers.AutoTokenizer.from_pretrained(place / request.param)
    pixels = processor(list(X), return_tensors="pt")["pixel_values"]
    return net, f"hf:{place / request.param}", pixels, lambda text: tokenizer(text, return_tensors="pt")


def first(output):
    return getattr(output, "pooler_output", output)


def test_embeddings(towers):
    import torch

    net, name, pixels, tokens = towers
    with torch.no_grad():
        seen = first(net.get_image_features(pixels)).numpy()
        read = np.concatenate([first(net.get_text_features(input_ids=tokens(t)["input_ids"])).numpy() for t in T])
    assert np.allclose(nrjax.extract_features(name, X), seen, atol=1e-5)
    assert np.allclose(nrjax.extract_features(name, T), read, atol=1e-5)


def test_layers_of_each_tower(towers):
    import torch

    net, name, pixels, tokens = towers
    model = nrjax.load_model(name)
    names = [layer.name for layer in nrjax.layers(model)]
    assert names == [*(f"hidden_states.{i}" for i in range(3)), "pooled", "embedding"]
    has_cls = "Clip" in type(net).__name__ or "CLIP" in type(net).__name__
    with torch.no_grad():
        seen = net.vision_model(pixel_values=pixels, output_hidden_states=True)
        read = [net.text_model(input_ids=tokens(t)["input_ids"], output_hidden_states=True) for t in T]
    state = seen.hidden_states[1]
    expected = {"hidden_states.1": state[:, 0] if has_cls else state.mean(1), "pooled": seen.pooler_output}
    found = nrjax.extract_features(model, X, [*expected, "embedding"])
    for layer, value in expected.items():
        assert np.allclose(found[layer], value.numpy(), atol=1e-5), layer
    assert np.allclose(found["embedding"], nrjax.extract_features(model, X), atol=1e-6)
    states = np.concatenate([output.hidden_states[2].mean(1).numpy() for output in read])
    assert np.allclose(nrjax.extract_features(model, T, "hidden_states.2"), states, atol=1e-5)
    pooled = np.concatenate([output.pooler_output.numpy() for output in read])
    assert np.allclose(nrjax.extract_features(model, T, "pooled"), pooled, atol=1e-5)
    ranking = nrjax.rank({"both": name}, X, LABELS, layer="best", scores="silhouette", progress=False)
    assert set(ranking.by_layer["both"]) == set(names)


def test_zero_shot(towers):
    import torch

    net, name, pixels, tokens = towers
    with torch.no_grad():
        logits = torch.cat([
            net(pixel_values=pixels, input_ids=tokens(f"a photo of a {c}.")["input_ids"]).logits_per_image
            for c in CLASSES
        ], dim=1)  # fmt: skip
        probabilities = logits.softmax(dim=1).numpy()
    zero = name.replace("hf:", "hf-zeroshot:")
    model = nrjax.load_model(zero)
    model = model.with_classes(CLASSES)
    assert np.allclose(nrjax.extract_features(model, X), probabilities, atol=1e-5)
    ranking = nrjax.rank({"zero": zero, "embedding": name}, X, LABELS, scores=("probe", "leep"), progress=False)
    assert not ranking.failed
    expected = nrjax.rank_batch({"x": probabilities}, LABELS, scores="probe").scores["x"]
    assert ranking.scores["zero"] == pytest.approx(expected, abs=1e-3)
    right = probabilities.argmax(1) == [CLASSES.index(c) for c in LABELS]
    assert 0 < right.mean() < 1
    assert ranking["zero"].zero_shot == right.mean()
    assert ranking["embedding"].zero_shot is None
    assert f" {right.mean():.4f} " in str(ranking)
    assert "zero-shot" in str(ranking).splitlines()[0]
    assert ranking.rows()[0].keys() > {"zero_shot", "parameters"}


def test_the_accuracy_of_zero_shot_is_of_any_layer_and_stored(towers, tmp_path):
    zero = towers[1].replace("hf:", "hf-zeroshot:")
    options = {"scores": "silhouette", "progress": False}
    expected = nrjax.rank({"zero": zero}, X, LABELS, **options)["zero"].zero_shot
    for layer in ("embedding", "logits", "best"):
        assert nrjax.rank({"zero": zero}, X, LABELS, layer=layer, **options)["zero"].zero_shot == expected
    swept = [nrjax.sweep({"zero": zero}, X, LABELS, store=tmp_path / "r.db", **options) for _ in range(2)]
    assert [sweep.computed for sweep in swept] == [1, 0]
    assert [sweep.ranking["zero"].zero_shot for sweep in swept] == [expected] * 2
    assert "zero-shot" not in str(nrjax.rank({"embedding": towers[1]}, X, LABELS, **options))


def test_the_fingerprint_knows_the_classes(towers):
    model = nrjax.load_model(towers[1].replace("hf:", "hf-zeroshot:"))
    named, reversed_ = model.with_classes(CLASSES), model.with_classes(CLASSES[::-1])
    assert len({one.fingerprint for one in (model, named, reversed_)}) == 3
    assert named.with_classes(CLASSES) is named


def test_a_ranking_leaves_a_live_model_as_it_is(towers):
    model = nrjax.load_model(towers[1].replace("hf:", "hf-zeroshot:"))
    before = model.fingerprint
    assert not nrjax.rank({"zero": model}, X, LABELS, progress=False).failed
    assert (model.fingerprint, model.zero_shot) == (before, False)


def test_nearly_right(towers, tmp_path):
    sources.save_bert(tmp_path / "bert", 0)
    zero = towers[1].replace("hf:", "hf-zeroshot:")
    ranking = nrjax.rank({"zero": zero, "embedding": towers[1]}, X, np.arange(12) % 3, progress=False)
    assert "it needs names of classes, such as ('cat', 'dog'); these are 0, 1, 2." in ranking.failed["zero"]
    with pytest.raises(ValueError, match=r"it needs names of classes: model.with_classes"):
        nrjax.extract_features(zero, X)
    with pytest.raises(ValueError, match=r"it is no model of images and texts, such as CLIP; take hf:"):
        nrjax.load_model(f"hf-zeroshot:{tmp_path / 'bert'}")
    with pytest.raises(ValueError, match="the model takes images; the samples are texts"):
        nrjax.extract_features(zero, T)
    with pytest.raises(ValueError, match=r"has no layer 'hidden_states.9'"):
        nrjax.extract_features(towers[1], X, "hidden_states.9")


def test_a_head_on_a_zero_shot_classifier_knows_the_classes(towers, tmp_path):
    zero = towers[1].replace("hf:", "hf-zeroshot:")
    ranking = nrjax.rank({"zero": zero}, X, LABELS, scores="probe", progress=False)
    head = ranking.head()
    assert head.weights.shape == (3, 3)
    assert head.score == pytest.approx(ranking.scores["zero"])
    fitted = nrjax.fit_head(zero, X, LABELS)
    fitted.save(tmp_path / "head")
    again = nrjax.load_head(tmp_path / "head", zero)
    assert list(again.predict(X)) == list(head.predict(X)) == list(fitted.predict(X))
    with pytest.raises(ValueError, match="it needs names of classes"):
        nrjax.fit_head(zero, X, np.arange(12) % 3)
