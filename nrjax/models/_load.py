"""`load_model`: one model by a name whose prefix says where it comes from."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nrjax._utils.messages import printable, shortened
from nrjax.models._model import Model
from nrjax.models._preprocessing import Preprocessing
from nrjax.models._sources import has_prefix, loader_of, prefixes, prefixes_with


def load_model(
    name: str, *, preprocessing: Preprocessing | None = None, image_size: int | tuple[int, int] | None = None,
    pooling: str | None = None, device: str | None = None, builder: str | Callable[[], Any] | None = None,
    download: bool = False, base: Path = Path(),
) -> Model:  # fmt: skip
    """Loads a model by its name. The prefix of the name says where it comes from.

    Args:
      name: `timm:resnet18`, `timm:DIRECTORY`, `hf:DIRECTORY` or an id in the hub's cache, `onnx:FILE`, `keras:FILE`,
        `torch:FILE`; or a name with the prefix of a plug-in.
      preprocessing: of images, instead of the model's own. An ONNX file has none.
      image_size: height and width of images, or one number, if the file does not contain them.
      pooling: how tokens become a vector, instead of the model's own pooling: `mean`, `cls`, `last`, `max`,
        `weightedmean`, `mean_sqrt_len`, or several as in `cls+mean`. Of maps `mean` or `max`, instead of `flatten`.
      device: where the model runs, such as `cpu`, `cuda:1`, `mps`, `tpu`; None is the fastest.
      builder: for `torch:FILE.safetensors`, which has weights and no network: a function that returns the module, or
        its `module:function`, which is imported. A file cannot name it.
      download: fetch files that are not in the local cache from the hub.
      base: folder of relative paths.

    Raises:
      ValueError: no such prefix; a framework that is not installed, with the pip command; files that are missing,
        damaged, pickled, or would run code of their own.

    Examples:
      >>> model = nrjax.load_model("hf:./vit-tiny")  # a folder
      >>> nrjax.extract_features(model, images[:20]).shape
      (20, 32)
    """
    prefix, _, where = name.partition(":")
    who = printable(shortened(name, 100))
    if not has_prefix(name) or not where:
        listed = ", ".join(f"{known}:..." for known in prefixes())
        raise ValueError(f"Model {who!r}: expected {listed}, the folder of a zoo, or a list (.toml, .json).")
    load, takes = loader_of(prefix)
    if isinstance(image_size, int):
        image_size = (image_size, image_size)
    options: dict[str, Any] = {
        "preprocessing": preprocessing, "image_size": image_size, "device": device, "builder": builder
    }  # fmt: skip
    if "pooling" in takes:
        options["pooling"] = pooling
    given = {option: value for option, value in options.items() if value is not None}
    moves = given.pop("device", None) if "device" not in takes else None
    for option in given.keys() - set(takes):
        raise ValueError(f"{who}: {option} is of models of {prefixes_with(option)}; leave it out.")
    given |= {option: value for option, value in (("base", base), ("download", download)) if option in takes}
    model = load(where, **given)
    if not isinstance(model, Model):  # of a plug-in
        from nrjax.models._live import as_model

        model = as_model(model)
    if moves is not None:
        model.move(moves)
    if pooling is not None and "pooling" not in takes:
        model.pool_by(pooling)
    return model


def load_applicable(name: str, options: Mapping[str, Any], **own: Any) -> Model:
    """`load_model`, with those of the options of many models that this one takes.

    Args:
      name: as for `load_model`.
      options: of many models: `image_size`, `device`, `builder`, `download`.
      own: options of this model alone, which it must take.
    """
    prefix = name.partition(":")[0]
    takes = (*loader_of(prefix)[1], "device", "download") if has_prefix(name) else tuple(options)
    return load_model(name, **own, **{option: value for option, value in options.items() if option in takes})
