"""ONNX files of texts, with the tokenizer beside them: what PyTorch's network gives for each text alone."""

import shutil

import numpy as np
import pytest

import nrjax
from tests.models import sources

T = sources.texts(16)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """BERT as a folder, the network, and functions that export it and that run it on each text alone."""
    for package in ("torch", "transformers", "onnx", "onnxruntime"):
        pytest.importorskip(package, exc_type=ImportError)
    import torch
    import transformers

    place = tmp_path_factory.mktemp("onnx")
    network = sources.save_bert(place, 0).eval()
    network.config.return_dict = False
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)

    def export(module, path, names, output):
        class Plain(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.module = module

            def forward(self, *tensors):
                return self.module(**dict(zip(names, tensors, strict=True)))[0]

        given = tokenizer(["red cat dog", "green dog"], padding=True, return_tensors="pt")
        given = {"token_type_ids": torch.zeros_like(given["input_ids"]), **given}
        axes = {name: {0: "batch", 1: "tokens"} for name in names} | {output: {0: "batch"}}
        torch.onnx.export(Plain().eval(), tuple(given[name] for name in names), path, input_names=list(names),
                          output_names=[output], dynamic_axes=axes, dynamo=False)  # fmt: skip

    def alone(module):
        with torch.no_grad():
            return [module(**tokenizer(text, return_tensors="pt"))[0][0].numpy() for text in T]

    return place, network, export, alone


NAMES = ("input_ids", "attention_mask", "token_type_ids")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("names", [NAMES, NAMES[:2], NAMES[:1]], ids=len)
def test_tokens_are_pooled(files, names):
    place, network, export, alone = files
    export(network, place / "net.onnx", names, "last_hidden_state")
    model = nrjax.load_model(f"onnx:{place / 'net.onnx'}")
    states = alone(network)
    assert np.allclose(nrjax.extract_features(model, T), [state.mean(0) for state in states], atol=1e-5)
    folder = nrjax.load_model(f"hf:{place}")
    assert np.allclose(nrjax.extract_features(model, T), nrjax.extract_features(folder, T), atol=1e-5)
    listed = [layer.name for layer in nrjax.layers(model)]
    assert listed[-1] == "last_hidden_state"
    assert len(listed) > 10
    expected = {"cls": [state[0] for state in states], "last": [state[-1] for state in states],
                "cls+max": [np.r_[state[0], state.max(0)] for state in states]}  # fmt: skip
    for pooling, value in expected.items():
        other = nrjax.load_model(f"onnx:{place / 'net.onnx'}", pooling=pooling)
        assert np.allclose(nrjax.extract_features(other, T), value, atol=1e-5), pooling
        assert other.fingerprint != model.fingerprint


@pytest.mark.filterwarnings("ignore")
def test_truncated_texts_are_counted(files):
    place, network, export, _ = files
    export(network, place / "long.onnx", NAMES, "last_hidden_state")
    model = nrjax.load_model(f"onnx:{place / 'long.onnx'}")
    with pytest.warns(RuntimeWarning, match="1 of 2 texts are longer than the model takes and were truncated"):
        nrjax.extract_features(model, ["red cat dog", "green dog " * 1000])
    nrjax.layers(model)
    nrjax.extract_features(model, T)
    assert not model.remarks()


@pytest.mark.filterwarnings("ignore")
def test_a_classifier_and_the_folder_above(files, tmp_path):
    """The penultimate layer is what the classifier reads; optimum writes files into a folder of their own."""
    import torch
    import transformers

    place, network, export, _ = files
    torch.manual_seed(1)
    config = transformers.BertConfig(**network.config.to_diff_dict() | {"num_labels": 3})
    classifier = transformers.BertForSequenceClassification(config).eval()
    shutil.copytree(place, tmp_path / "net")
    (tmp_path / "net" / "onnx").mkdir()
    export(classifier, tmp_path / "net" / "onnx" / "model.onnx", NAMES, "logits")
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    with torch.no_grad():
        pooled = [classifier.bert(**tokenizer(text, return_tensors="pt"))[1][0].numpy() for text in T]
    name = f"onnx:{tmp_path / 'net' / 'onnx' / 'model.onnx'}"
    assert np.allclose(nrjax.extract_features(name, T), pooled, atol=1e-5)
    ranking = nrjax.rank(name, T, np.arange(16) % 2, scores=("probe", "leep"), progress=False)
    assert ranking.order == [name]


@pytest.mark.filterwarnings("ignore")
def test_after_optimisation(files):
    """Names of tensors and fused nodes are those of the optimised graph."""
    import onnxruntime

    place, network, export, alone = files
    export(network, place / "net.onnx", NAMES, "last_hidden_state")
    settings = onnxruntime.SessionOptions()
    settings.optimized_model_filepath = str(place / "optimised.onnx")
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(place / "net.onnx", settings, providers=["CPUExecutionProvider"])
    features = nrjax.extract_features(f"onnx:{place / 'optimised.onnx'}", T)
    assert np.allclose(features, [state.mean(0) for state in alone(network)], atol=1e-4)


def save_inputs(path, *names):
    """A graph that adds its inputs."""
    import onnx
    from onnx import TensorProto, helper

    given = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in names]
    nodes = [helper.make_node("Sum", [f"{name}_f" for name in names], ["out"])]
    nodes = [helper.make_node("Cast", [name], [f"{name}_f"], to=TensorProto.FLOAT) for name in names] + nodes
    graph = helper.make_graph(nodes, "net", given, [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_nearly_right(files, tmp_path):
    place, *_ = files
    save_inputs(tmp_path / "alone.onnx", "input_ids", "attention_mask")
    save_inputs(place / "more.onnx", "input_ids", "pixel_values")
    save_inputs(place / "two.onnx", "left", "right")
    for name, told in {
        f"onnx:{tmp_path / 'alone.onnx'}": r"it takes tokens, and there is no tokenizer beside it; save it there: "
        r"tokenizer\.save_pretrained\(",
        f"onnx:{place / 'more.onnx'}": "expected inputs input_ids, attention_mask, .*; it takes pixel_values, too",
        f"onnx:{place / 'two.onnx'}": r"expected one input, images or arrays, or tokens .*; it takes 2 \(left, right\)",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=told) as error:
            nrjax.load_model(name)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="it takes texts, whose tokenizer is its preprocessing"):
        nrjax.load_model(f"onnx:{place / 'more.onnx'}", preprocessing=nrjax.Preprocessing())
