"""`load_model`: one model by a name whose prefix says where it comes from."""

from pathlib import Path
from typing import Any

from nrjax._utils.messages import printable, shortened
from nrjax.models._model import Model
from nrjax.models._preprocessing import Preprocessing

PREFIXES = ("timm", "hf", "onnx", "keras")


def load_model(
    name: str, *, preprocessing: Preprocessing | None = None, pooling: str | None = None, download: bool = False,
    base: Path = Path(),
) -> Model:  # fmt: skip
    """A model by a name whose prefix says where it comes from.

    Args:
      name: `timm:resnet18`, `timm:DIRECTORY`, `hf:DIRECTORY` or an id in the hub's cache, `onnx:FILE`, `keras:FILE`.
      preprocessing: of images, instead of the model's own; an ONNX file has none.
      pooling: of Hugging Face's models over tokens: `mean`, `cls`, `last` or `max`, instead of their own.
      download: whether the hub may be asked for what its cache does not have.
      base: what relative paths are relative to.

    Raises:
      ValueError: no such prefix; a framework that is not installed, with the pip command; files that are missing,
        damaged, pickled, or would run code of their own.
    """
    prefix, colon, where = name.partition(":")
    if not colon or prefix not in PREFIXES or not where:
        listed = ", ".join(f"{known}:..." for known in PREFIXES)
        raise ValueError(
            f"Model {printable(shortened(name, 100))!r}: expected {listed}, the folder of a zoo, or a list (.toml, "
            ".json)."
        )
    options: dict[str, Any] = {"base": base, "preprocessing": preprocessing}
    if pooling is not None and prefix != "hf":
        raise ValueError(f"{printable(shortened(name, 100))}: pooling is of models of Hugging Face; leave it out.")
    if prefix == "timm":
        from nrjax.models._timm import load_timm

        return load_timm(where, download=download, **options)
    if prefix == "hf":
        from nrjax.models._huggingface_load import load_huggingface

        return load_huggingface(where, pooling=pooling, download=download, **options)
    if prefix == "onnx":
        from nrjax.models._onnx_load import load_onnx

        return load_onnx(where, **options)
    from nrjax.models._keras_load import load_keras

    return load_keras(where, **options)
