"""Files of LiteRT, written by hand with its own schema; values by NumPy."""

import numpy as np
import pytest
from scipy import special

import nrjax
from tests.models import sources

X = sources.images(20, size=12)
RNG = np.random.default_rng(0)
KERNEL, BIAS, HEAD = (RNG.normal(size=size).astype(np.float32) for size in ((6, 3, 3, 3), (6,), (4, 6)))


@pytest.fixture(scope="module")
def litert():
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    return pytest.importorskip("ai_edge_litert.schema_py_generated")


def save(schema, path, *, reshaped=False, scale=1.0, inputs=1, side=12):
    """Convolution with ReLU, mean, dense layer, softmax; `reshaped` fixes the batch to one sample in between."""
    import flatbuffers

    operators, tensors, buffers = schema.BuiltinOperator, [], [schema.BufferT()]

    def tensor(name, shape, value=None, kind=schema.TensorType.FLOAT32, signature=None):
        new = schema.TensorT()
        new.name, new.shape, new.type, new.shapeSignature = name, list(shape), kind, signature
        if value is not None:
            buffers.append(schema.BufferT())
            buffers[-1].data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
            new.buffer = len(buffers) - 1
        tensors.append(new)
        return len(tensors) - 1

    int32, batch = schema.TensorType.INT32, [1, side, side, 3]
    signature = None if reshaped else [-1, side, side, 3]
    given = [tensor(f"image{i or ''}", batch, signature=signature) for i in range(inputs)]
    kernel, bias = tensor("kernel", KERNEL.shape, KERNEL * scale), tensor("bias", BIAS.shape, BIAS)
    axes, head = tensor("axes", (2,), np.array([1, 2], np.int32), int32), tensor("head", HEAD.shape, HEAD)
    conv, mean = tensor("conv", (1, side - 2, side - 2, 6)), tensor("mean", (1, 6))
    flat, size = tensor("flat", (1, 6)), tensor("size", (2,), np.array([1, 6], np.int32), int32)
    logits, answer = tensor("logits", (1, 4)), tensor("answer", (1, 4))
    steps = [
        (operators.CONV_2D, [given[0], kernel, bias], conv, "Conv2DOptions", {
            "padding": schema.Padding.VALID, "strideW": 1, "strideH": 1,
            "fusedActivationFunction": schema.ActivationFunctionType.RELU}),
        (operators.MEAN, [conv, axes], mean, "ReducerOptions", {"keepDims": False}),
        *([(operators.RESHAPE, [mean, size], flat, "ReshapeOptions", {"newShape": [1, 6]})] if reshaped else []),
        (operators.FULLY_CONNECTED, [flat if reshaped else mean, head, -1], logits, "FullyConnectedOptions", {}),
        (operators.SOFTMAX, [logits], answer, "SoftmaxOptions", {"beta": 1.0}),
    ]  # fmt: skip
    graph, model = schema.SubGraphT(), schema.ModelT()
    model.operatorCodes, graph.operators = [], []
    for number, (code, read, made, options, settings) in enumerate(steps):
        kind, step = schema.OperatorCodeT(), schema.OperatorT()
        kind.builtinCode = kind.deprecatedBuiltinCode = code
        step.opcodeIndex, step.inputs, step.outputs = number, read, [made]
        step.builtinOptionsType = getattr(schema.BuiltinOptions, options)
        step.builtinOptions = getattr(schema, f"{options}T")()
        vars(step.builtinOptions).update(settings)
        model.operatorCodes.append(kind)
        graph.operators.append(step)
    graph.tensors, graph.inputs, graph.outputs, graph.name = tensors, given, [answer], "main"
    model.version, model.subgraphs, model.buffers, model.description = 3, [graph], buffers, "net"
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return f"litert:{path}"


def expected(images):
    windows = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(1, 2))
    maps = np.maximum(np.einsum("nhwcij,oijc->nhwo", windows, KERNEL) + BIAS, 0)
    return maps, maps.mean((1, 2)), maps.mean((1, 2)) @ HEAD.T


@pytest.mark.parametrize("reshaped", [False, True])
def test_values(litert, tmp_path, reshaped):
    model = nrjax.load_model(save(litert, tmp_path / "net.tflite", reshaped=reshaped),
                             preprocessing=nrjax.Preprocessing())  # fmt: skip
    maps, hidden, logits = expected(X.astype(np.float32) / 255)
    found = nrjax.extract_features(model, X, ["penultimate", "conv", "logits", -1])
    assert model.batch == (1 if reshaped else None)
    np.testing.assert_allclose(found["penultimate"], hidden, atol=1e-5)
    np.testing.assert_allclose(found["conv"], maps.reshape(20, -1), atol=1e-5)
    np.testing.assert_allclose(found["logits"], logits, atol=1e-5)
    np.testing.assert_allclose(found[-1], special.softmax(logits, axis=1), atol=1e-5)
    names = [layer.name for layer in nrjax.layers(model)]
    assert names == ["input", "conv", "mean", *(["flat"] if reshaped else []), "logits", "answer"]
    assert model.description.parameters >= KERNEL.size + BIAS.size + HEAD.size


def test_what_a_file_does_not_say(litert, tmp_path):
    name = save(litert, tmp_path / "net.tflite", scale=1 / 255)  # takes images from 0 to 255
    with pytest.warns(RuntimeWarning, match=r"Converters merge a scaling .* pass preprocessing=Preprocessing\(scale=1"):
        nrjax.extract_features(name, X)
    model = nrjax.load_model(name, preprocessing=nrjax.Preprocessing(scale=1.0))
    hidden = expected(X.astype(np.float32) / 255)[1]
    np.testing.assert_allclose(nrjax.extract_features(model, X), hidden, atol=1e-5)


@pytest.mark.filterwarnings("ignore:images were scaled")
def test_ranked_and_swept(litert, tmp_path):
    names = [save(litert, tmp_path / "a.tflite"), save(litert, tmp_path / "b.tflite", scale=-1.0)]
    options = {"scores": ("silhouette", "leep"), "progress": False}
    ranking = nrjax.rank(names, X, np.arange(20) % 4, **options)
    features = expected(X.astype(np.float32) / 255)[1]
    assert ranking.scores[names[0]] == pytest.approx(nrjax.rank_batch({"x": features}, np.arange(20) % 4).scores["x"],
                                                     abs=1e-4)  # fmt: skip
    swept = [nrjax.sweep(names, X, np.arange(20) % 4, store=tmp_path / "r.db", **options) for _ in range(2)]
    assert [sweep.computed for sweep in swept] == [2, 0]


def test_nearly_right(litert, tmp_path, monkeypatch):
    import sys

    two = save(litert, tmp_path / "two.tflite", inputs=2)
    (tmp_path / "damaged.tflite").write_bytes((tmp_path / "two.tflite").read_bytes()[:700])
    (tmp_path / "other.tflite").write_bytes(b"no flatbuffer at all, but text")
    for name, told in {
        two: r"expected one input, images or arrays in float32 or uint8; it takes image of float32, image1 of float32",
        f"litert:{tmp_path / 'damaged.tflite'}": "it is damaged, or LiteRT cannot run it",
        f"litert:{tmp_path / 'other.tflite'}": "it is damaged, or LiteRT cannot run it",
        f"litert:{tmp_path / 'gone.tflite'}": "is not there",
    }.items():
        with pytest.raises(ValueError, match=told) as error:
            nrjax.load_model(name)
        assert "\n" not in str(error.value)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(nrjax.models.MissingFramework, match="ai_edge_litert"):
        nrjax.load_model(two)
