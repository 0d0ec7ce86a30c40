"""`load_model`: one model by a name whose prefix says where it comes from."""

from pathlib import Path
from typing import Any

from nrjax._utils.messages import printable, shortened
from nrjax.models._model import Model
from nrjax.models._preprocessing import Preprocessing
from nrjax.models._sources import has_prefix, loader_of, prefixes, prefixes_with


def load_model(
    name: str, *, preprocessing: Preprocessing | None = None, pooling: str | None = None, download: bool = False,
    base: Path = Path(),
) -> Model:  # fmt: skip
    """A model by a name whose prefix says where it comes from.

    Args:
      name: `timm:resnet18`, `timm:DIRECTORY`, `hf:DIRECTORY` or an id in the hub's cache, `onnx:FILE`, `keras:FILE`;
        or what a plug-in knows by its prefix.
      preprocessing: of images, instead of the model's own; an ONNX file has none.
      pooling: of Hugging Face's models over tokens: `mean`, `cls`, `last` or `max`, instead of their own.
      download: whether the hub may be asked for what its cache does not have.
      base: what relative paths are relative to.

    Raises:
      ValueError: no such prefix; a framework that is not installed, with the pip command; files that are missing,
        damaged, pickled, or would run code of their own.
    """
    prefix, _, where = name.partition(":")
    who = printable(shortened(name, 100))
    if not has_prefix(name) or not where:
        listed = ", ".join(f"{known}:..." for known in prefixes())
        raise ValueError(f"Model {who!r}: expected {listed}, the folder of a zoo, or a list (.toml, .json).")
    load, takes = loader_of(prefix)
    options: dict[str, Any] = {"preprocessing": preprocessing, "pooling": pooling}
    given = {option: value for option, value in options.items() if value is not None}
    for option in given.keys() - set(takes):
        raise ValueError(f"{who}: {option} is of models of {prefixes_with(option)}; leave it out.")
    given |= {option: value for option, value in (("base", base), ("download", download)) if option in takes}
    model = load(where, **given)
    if isinstance(model, Model):
        return model
    from nrjax.models._live import as_model

    return as_model(model)  # of a plug-in
