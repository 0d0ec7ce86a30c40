"""Vectors at positions in pictures: against every framework's own feature maps, and geometry."""

import cloudpickle
import numpy as np
import pytest
from PIL import Image

import nrjax
from nrjax.datasets import Images, Positions
from nrjax.models import LayerError
from nrjax.models._feature_maps import Layout, layout_of, prefix_tokens
from nrjax.models._whole_pictures import whole_pictures

ATOL = 1e-5  # features against the framework's own, relative to their size
ROWS, COLUMNS = np.array([0.03, 0.4, 0.97, 0.6]), np.array([0.97, 0.3, 0.1, 0.6])


def pictures(count=3, height=32, width=32, channels=3):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels)).astype(np.uint8)


def positions(images):
    """Four positions in every picture, in an order in which those of a picture are not next to each other."""
    count = len(images)
    picture = np.tile(np.arange(count), len(ROWS))
    return Positions(Images.of(list(images)), picture, np.repeat(ROWS, count), np.repeat(COLUMNS, count))


def at_positions(maps):
    """Vectors of maps `[pictures, height, width, dims]` at `positions`, by a plain loop."""
    _, height, width, _ = maps.shape
    return np.stack([
        maps[i, int(row * height), int(column * width)]
        for row, column in zip(ROWS, COLUMNS, strict=True) for i in range(len(maps))
    ])  # fmt: skip


def check(model, images, expected, layer="penultimate"):
    features = nrjax.extract_features(model, positions(images), layer)
    wanted = at_positions(expected)
    np.testing.assert_allclose(features, wanted, atol=ATOL * max(1, np.abs(wanted).max()))


def test_torch():
    torch = pytest.importorskip("torch", exc_type=ImportError)
    torch.manual_seed(0)
    body = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3, stride=2), torch.nn.BatchNorm2d(6), torch.nn.ReLU(inplace=True))
    net = torch.nn.Sequential(body, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(6, 4)).eval()
    images = pictures(height=24, width=40)
    with torch.no_grad():
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        maps, first = (part(batch).permute(0, 2, 3, 1).numpy() for part in (body, body[0]))
    check(net, images, maps)
    check(net, images, first, "0.0")
    check(net, images, images / 255, 0)
    with pytest.raises(LayerError, match=r"'3' has no map.*those with one are input \(0\), 0.0 \(1\)"):
        nrjax.extract_features(net, positions(images), "3")
    with pytest.raises(LayerError, match="no layer 'x'"):
        nrjax.extract_features(net, positions(images), "x")


def test_torch_segmentation_reads_what_the_head_reads():
    torch = pytest.importorskip("torch", exc_type=ImportError)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(6, 4, 1)).eval()
    images = pictures()
    with torch.no_grad():
        maps = net[:2](torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255).permute(0, 2, 3, 1).numpy()
    check(net, images, maps)


def test_torch_tokens():
    torch = pytest.importorskip("torch", exc_type=ImportError)

    class Net(torch.nn.Module):
        """A transformer with a class token before those of the picture."""

        def __init__(self):
            super().__init__()
            self.patches, self.class_token = torch.nn.Conv2d(3, 8, 8, 8), torch.nn.Parameter(torch.randn(1, 1, 8))
            self.block = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.head = torch.nn.Linear(8, 4)

        def forward(self, x):
            tokens = self.patches(x).flatten(2).transpose(1, 2)
            return self.head(self.block(torch.cat([self.class_token.expand(len(x), -1, -1), tokens], 1))[:, 0])

    torch.manual_seed(0)
    net, images = Net().eval(), pictures(height=32, width=48)
    with torch.no_grad():
        tokens = net.patches(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255).flatten(2).transpose(1, 2)
        tokens = net.block(torch.cat([net.class_token.expand(3, -1, -1), tokens], 1))[:, 1:]
    check(net, images, tokens.numpy().reshape(3, 4, 6, 8))


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext"])
def test_timm(name):
    timm = pytest.importorskip("timm", exc_type=ImportError)
    import torch

    torch.manual_seed(0)
    net, images = timm.create_model(name, num_classes=4).eval(), pictures(height=50, width=70)
    settings = timm.data.resolve_model_data_config(net) | {"crop_pct": 1.0, "crop_mode": "squash"}
    transform = timm.data.create_transform(**settings, is_training=False)
    with torch.no_grad():
        maps = net.forward_features(torch.stack([transform(Image.fromarray(image)) for image in images])).numpy()
    tokens = getattr(net, "num_prefix_tokens", 0)
    maps = maps[:, tokens:].reshape(3, 10, 10, -1) if maps.ndim == 3 else maps.transpose(0, 2, 3, 1)
    check(net, images, maps)
    assert '"crop_mode": "squash"' in nrjax.models.as_model(net).inputs.words("position")


def save(folder, net, processor):
    net.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return nrjax.load_model(f"hf:{folder}")


def small(config, **changes):
    return config(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8, **changes)


def huggingface(name):
    """A network, its processor, and the map of its last hidden state from pixels."""
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    square = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    cropped = transformers.BitImageProcessor(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32})
    tokens = {"vit": 1, "dinov2": 1, "registers": 5, "deit": 2, "mae": 1}.get(name, 0)
    if name == "vit":
        net = transformers.ViTForImageClassification(small(transformers.ViTConfig, intermediate_size=32))
        return net, square, net.vit, tokens
    if name == "deit":
        net = transformers.DeiTModel(small(transformers.DeiTConfig, intermediate_size=32), add_pooling_layer=False)
    elif name == "mae":
        net = transformers.ViTMAEModel(small(transformers.ViTMAEConfig, intermediate_size=32, mask_ratio=0.0))
        return net, square, lambda pixels: net(pixels, noise=np_noise(pixels)), tokens
    elif name == "dinov2":
        net = transformers.Dinov2Model(small(transformers.Dinov2Config))
    elif name == "registers":
        net = transformers.Dinov2WithRegistersModel(
            small(transformers.Dinov2WithRegistersConfig, num_register_tokens=4)
        )
    elif name == "swin":
        config = {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 2}
        net = transformers.SwinModel(transformers.SwinConfig(image_size=32, patch_size=4, **config))
    else:
        config = transformers.ConvNextConfig(hidden_sizes=[8, 12], depths=[1, 1], num_stages=2)
        net = transformers.ConvNextForImageClassification(config)
        return net, transformers.ConvNextImageProcessor(size={"shortest_edge": 32}), net.convnext, tokens
    return net, cropped if name in ("dinov2", "registers") else square, net, tokens


def np_noise(pixels):
    import torch

    return torch.arange(16.0).expand(len(pixels), 16)


@pytest.mark.parametrize("name", ["vit", "deit", "mae", "dinov2", "registers", "swin", "convnext"])
def test_hugging_face(name, tmp_path):
    torch = pytest.importorskip("torch", exc_type=ImportError)
    torch.manual_seed(0)
    net, processor, encoder, tokens = huggingface(name)
    model, images = save(tmp_path, net, processor), pictures()
    with torch.no_grad():  # pictures in the network's own size: nothing is resized or cropped
        steps = {step: False for step in ("do_resize", "do_center_crop") if step in processor.to_dict()}
        pixels = processor(list(images), return_tensors="pt", **steps)["pixel_values"]
        maps = encoder(pixels).last_hidden_state
    if maps.ndim == 3:
        maps = maps[:, tokens:].reshape(3, 4, 4, -1)
    else:
        maps = maps.permute(0, 2, 3, 1)
    check(model, images, maps.numpy())
    assert "pooled" not in model.map_layers(model.inputs.prepare(positions(images)[:1]))
    with pytest.raises(LayerError, match=r"'pooled' has no map.*hidden_states.0 \(0\)"):
        nrjax.extract_features(model, positions(images), "pooled")


def test_linen():
    import jax
    from flax import linen as nn

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.relu(nn.Conv(5, (3, 3), strides=2, name="conv")(x))
            return nn.Dense(4, name="head")(x.mean((1, 2)))

    images, net = pictures(5, 24, 40), Net()
    variables = net.init(jax.random.key(0), images[:1] / 255)
    maps = nn.Conv(5, (3, 3), strides=2).apply({"params": variables["params"]["conv"]}, images / np.float32(255))
    check((net, variables), images, np.asarray(maps))
    check((net, variables), images, images / 255, "input")
    with pytest.raises(LayerError, match=r"'head' has no map.*conv \(1\)"):
        nrjax.extract_features((net, variables), positions(images), "head")


def test_nnx_tokens():
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self):
            rngs = nnx.Rngs(0)
            self.patches, self.mix = nnx.Conv(3, 6, (8, 8), 8, padding="VALID", rngs=rngs), nnx.Linear(6, 7, rngs=rngs)
            self.cls_token, self.head = nnx.Param(np.ones((1, 1, 6), np.float32)), nnx.Linear(7, 4, rngs=rngs)

        def __call__(self, x):
            import jax.numpy as jnp

            tokens = self.patches(x).reshape(len(x), -1, 6)
            first = jnp.broadcast_to(self.cls_token[...], (len(x), 1, 6))
            return self.head(self.mix(jnp.concatenate([first, tokens], axis=1))[:, 0])

    images, net = pictures(3, 32, 48), Net()
    maps = np.asarray(net.mix(net.patches(images / np.float32(255))))
    check(net, images, maps)
    assert nrjax.models.as_model(net).inputs.words("position") == "/255"


def test_keras():
    keras = pytest.importorskip("keras", exc_type=ImportError)
    keras.utils.set_random_seed(0)
    image = keras.Input((24, 40, 3))
    conv = keras.layers.Conv2D(5, 3, strides=2, padding="same", activation="relu")
    net = keras.Model(image, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(conv(image))))
    images = pictures(3, 24, 40)
    check(net, images, np.asarray(conv(images.astype(np.float32) / 255)))


def quadrants(height, width):
    """A picture with a colour for each quadrant, and the colours."""
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], np.uint8)
    ids = 2 * (np.arange(height)[:, None] >= height // 2) + (np.arange(width)[None] >= width // 2)
    return colours[ids], colours / 255


@pytest.mark.parametrize("crop", [None, 0.5])
def test_positions_are_in_their_quadrant_after_resizing(crop):
    torch = pytest.importorskip("torch", exc_type=ImportError)
    rows, columns = (axis.reshape(-1) for axis in np.meshgrid(*[(np.arange(16) + 0.5) / 16] * 2, indexing="ij"))
    sizes = [(64, 64), (30, 90), (120, 40)]
    images, (_, colours) = [quadrants(*size)[0] for size in sizes], quadrants(2, 2)
    samples = Positions(
        Images.of(images), np.repeat(np.arange(3), len(rows)), np.tile(rows, 3), np.tile(columns, 3)
    )  # fmt: skip
    preprocessing = nrjax.Preprocessing(image_size=(32, 64), crop=crop)
    model = nrjax.from_torch(torch.nn.AvgPool2d(2, 2), input_shape=(32, 64, 3), preprocessing=preprocessing)
    features = nrjax.extract_features(model, samples, "output")
    wanted = np.tile(colours[2 * (rows >= 0.5) + (columns >= 0.5)], (3, 1))
    inside = np.tile((np.abs(rows - 0.5) > 0.1) & (np.abs(columns - 0.5) > 0.1), 3)  # away from blurred edges
    np.testing.assert_allclose(features[inside], wanted[inside], atol=0.01)  # levels of 8 bits
    assert ("middle" in model.inputs.preprocessing) is (crop is not None)
    assert "middle" not in model.inputs.words("position")


@pytest.mark.parametrize("processor", ["cropped", "squeezed"])
def test_processors_of_hugging_face_see_whole_pictures(processor, tmp_path):
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    torch = pytest.importorskip("torch", exc_type=ImportError)
    torch.manual_seed(0)
    size = {"shortest_edge": 40} if processor == "cropped" else {"height": 32, "width": 32}
    made = transformers.BitImageProcessor(size=size, crop_size={"height": 32, "width": 32},
                                          do_center_crop=processor == "cropped")  # fmt: skip
    model = save(tmp_path, transformers.Dinov2Model(small(transformers.Dinov2Config)), made)
    image = quadrants(64, 200)[0]
    batch = model.inputs.prepare([*positions([image])])
    wanted = quadrants(32, 32)[0].transpose(2, 0, 1) / 255
    got = batch.pictures[0] * np.array(made.image_std)[:, None, None] + np.array(made.image_mean)[:, None, None]
    away = np.abs(np.arange(32) - 15.5) > 4
    np.testing.assert_allclose(got[:, away][:, :, away], wanted[:, away][:, :, away], atol=0.01)


@pytest.mark.parametrize("move", [
    lambda batch: np.pad(batch, ((0, 0), (0, 0), (2, 0), (0, 0))), lambda batch: np.roll(batch, 3, axis=2),
])  # fmt: skip
def test_a_processor_that_moves_pixels_is_refused(move):
    def process(images, **steps):
        return move(np.stack([np.asarray(image, np.float32).transpose(2, 0, 1) for image in images]))

    prepare = whole_pictures(process, {"do_resize": True}, grey=False, who="hf:x")
    with pytest.raises(ValueError, match="hf:x: its processor cuts or moves parts of a picture"):
        prepare(list(pictures(1)))


def test_beside_others_and_alone():
    torch = pytest.importorskip("torch", exc_type=ImportError)
    torch.manual_seed(0)
    net, images = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.BatchNorm2d(6)).eval(), pictures(5)
    samples = positions(images)
    whole = nrjax.extract_features(net, samples)
    for size in (1, 3, 7):
        np.testing.assert_allclose(nrjax.extract_features(net, samples, batch_size=size), whole, atol=ATOL)
    alone = [nrjax.extract_features(net, samples.take(np.array([i]))) for i in range(len(samples))]
    np.testing.assert_allclose(np.concatenate(alone), whole, atol=ATOL)


def test_a_picture_runs_once():
    seen = []

    def apply(params, batch):
        import jax

        jax.debug.callback(lambda x: seen.append(x.shape), batch)
        return {"map": batch * params}

    samples = positions(pictures(8))
    features = nrjax.extract_features(nrjax.from_function(apply, np.float32(2)), samples, "map")
    np.testing.assert_allclose(features, 2 * at_positions(pictures(8) / 255), atol=ATOL)
    assert seen == [(8, 32, 32, 3), (1, 32, 32, 3)]  # one of them again, to see that it gives the same


@pytest.mark.parametrize(
    ("shape", "size", "options", "layout"),
    [
        ((2, 7, 7, 7), (32, 32), {"channels_first": True}, Layout(7, 7, "channels first")),
        ((2, 7, 7, 7), (32, 32), {}, Layout(7, 7, "channels last")),
        ((2, 6, 6, 40), (32, 32), {"channels_first": True}, Layout(6, 6, "channels last")),
        ((2, 30, 62, 8), (32, 64), {"channels_first": True}, Layout(30, 62, "channels last")),  # without padding
        ((2, 8, 5, 8), (70, 120), {"channels_first": True}, Layout(5, 8, "channels first")),
        ((2, 6, 1, 1), (32, 32), {"channels_first": True}, None),  # pooled
        ((2, 3, 17, 5), (32, 32), {}, None),  # attention
        ((2, 17, 8), (32, 32), {"prefix": 1}, Layout(4, 4, "tokens", 1)),
        ((2, 16, 8), (32, 32), {"prefix": 1}, Layout(4, 4, "tokens", 0)),
        ((2, 24, 8), (64, 96), {}, Layout(4, 6, "tokens", 0)),
        ((2, 1, 8), (32, 32), {}, None),
        ((2, 17, 8), (32, 32), {}, None),
        ((2, 8), (32, 32), {}, None),
    ],
)
def test_layouts(shape, size, options, layout):
    assert layout_of(shape, size, **options) == layout


def test_prefix_tokens_by_names_of_weights():
    weights = {
        "a.cls_token": (1, 1, 8),
        "a.register_tokens": (1, 4, 8),
        "a.mask_token": (1, 1, 8),
        "b.class_embedding": (8,),
    }
    assert prefix_tokens(weights.items()) == 6
    assert prefix_tokens([("head/cls/value", (1, 1, 8))]) == 1


def test_models_without_maps_refuse_positions():
    samples = positions(pictures())
    with pytest.raises(ValueError, match="the model takes texts; the samples are positions in images"):
        nrjax.extract_features(nrjax.from_embedder(lambda texts: np.zeros((len(texts), 2)), "text"), samples)
    with pytest.raises(ValueError, match="the model has no feature maps that nrjax knows"):
        nrjax.extract_features(nrjax.from_embedder(lambda images: np.zeros((len(images), 2))), samples)


def means(params, batch):
    """Mean colours of cells of 4x4 pixels, mixed; and their mean over the picture."""
    samples, height, width, channels = batch.shape
    cells = batch.reshape(samples, height // 4, 4, width // 4, 4, channels).mean((2, 4)) @ params
    return {"map": cells, "pooled": cells.mean((1, 2))}


def scenes():
    """Pictures of which the left part, of some width, is darker, and masks of that part."""
    rng = np.random.default_rng(0)
    masks = (np.arange(32)[None, None] < rng.integers(8, 24, (12, 1, 1))).repeat(32, 1).astype(int)
    colours = np.where(masks[..., None] == 1, 80, 150)
    return (colours + rng.normal(0, 30, (12, 32, 32, 3))).clip(0, 255).astype(np.uint8), masks


def test_models_are_ranked_by_positions():
    images, masks = scenes()
    blind = np.array([[1, 0], [-1, 1], [0, -1]], np.float32)  # differences of channels: the parts have the same
    models = {"blind": nrjax.from_function(means, blind, input_shape=(32, 32, 3)),
              "seeing": nrjax.from_function(means, np.eye(3, dtype=np.float32), input_shape=(32, 32, 3))}  # fmt: skip
    ranking = nrjax.rank(models, (images, masks), task="positions", scores="probe", progress=False)
    assert ranking.best == "seeing"
    scores = {model.name: model.score for model in ranking.models}
    assert scores["seeing"] > 0.95
    assert scores["blind"] < 0.65
    assert ranking.settings["groups"] == 12
    assert ranking.settings["preprocessing"]["seeing"] == "32x32x3 bilinear, /255"
    dataset = nrjax.load_dataset((images, masks), task="positions")
    for data, labels, options in ((images, masks, {"task": "positions"}), (dataset, None, {}),
                                  (dataset, None, {"task": "positions"})):  # fmt: skip
        again = nrjax.rank(models, data, labels, scores="probe", progress=False, **options)
        assert [model.score for model in again.models] == [model.score for model in ranking.models]
    layers = nrjax.rank({"seeing": models["seeing"]}, dataset, layers="all", scores="probe", progress=False)
    assert set(layers.by_layer["seeing"]) == {"input", "map"}
    with pytest.raises(ValueError, match="the groups of positions are their pictures"):
        nrjax.rank(models, (images, masks), task="positions", groups=np.arange(12))


def test_positions_travel_to_other_processes():
    images, masks = scenes()
    samples = nrjax.load_dataset((images, masks), task="positions").samples
    again = cloudpickle.loads(cloudpickle.dumps(samples))
    model = nrjax.from_function(means, np.eye(3, dtype=np.float32), input_shape=(32, 32, 3))
    np.testing.assert_array_equal(nrjax.extract_features(model, again), nrjax.extract_features(model, samples))
