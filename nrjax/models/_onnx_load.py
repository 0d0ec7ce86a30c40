"""Loads ONNX files: sizes and places of their data are checked before anything is read."""

# pyright: reportMissingImports=false

from pathlib import Path
from typing import Any

from nrjax._utils.frameworks import framework
from nrjax._utils.messages import first_line, printable, shortened
from nrjax._utils.paths import check_regular
from nrjax.models._model import Model
from nrjax.models._onnx import OnnxModel
from nrjax.models._preprocessing import Preprocessing

MOST_BYTES = (1 << 31) - (1 << 20)  # of the weights: protobuf ends at 2 GB


def load_onnx(
    where: str, *, base: Path = Path(), preprocessing: Preprocessing | None = None,
    image_size: tuple[int, int] | None = None, device: str | None = None,
) -> Model:  # fmt: skip
    """The model of a file, with external data that lie in its folder.

    Args:
      where: the file.
      base: what a relative path is relative to.
      preprocessing: what the exported network expects; an ONNX file does not say it. Default: stretched to the size of
        the input, and scaled to [0, 1], or left in [0, 255] where its first nodes scale.
      image_size: height and width of images where the file takes any.
      device: `cpu`, `cuda` or `cuda:1`; None is the fastest.

    Raises:
      ValueError: it is no ONNX file, is damaged or too large, or wants data outside its folder.
    """
    who = shortened(f"onnx:{where}")
    onnx = framework("onnx", who)
    path = base / Path(where).expanduser()
    check_regular(path, who)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{who}: it is larger than 2 GB; rank_batch takes features that you extract yourself.")
    try:
        proto = onnx.load_model_from_string(path.read_bytes())
        if not proto.graph.node:
            raise ValueError("it has no nodes")
    except Exception as error:
        raise ValueError(f"{who}: it is damaged or no ONNX file: {first_line(error)}") from error
    data_files = _load_external_data(onnx, proto, path.parent, who, path.stat().st_size)
    if any(tensor.name == "input_ids" for tensor in proto.graph.input):
        if preprocessing is not None:
            raise ValueError(f"{who}: it takes texts, whose tokenizer is its preprocessing; leave yours out.")
        from nrjax.models._onnx_text import text_model

        model: Any = text_model(proto, who, path.parent, device)
    else:
        model = OnnxModel(proto, who, preprocessing, image_size, device)
    model.files = (path, *data_files)
    return model


def _load_external_data(onnx: Any, proto: Any, folder: Path, who: str, size: int) -> list[Path]:
    """Reads weights that lie in other files of the folder; returns these files. `size` is that of the model's file."""
    external = onnx.external_data_helper
    tensors = [tensor for tensor in external._get_all_tensors(proto) if external.uses_external_data(tensor)]
    files = set()
    for tensor in tensors:
        location = external.ExternalDataInfo(tensor).location
        name, file = printable(shortened(location, 80)), folder / location
        if Path(location).is_absolute() or not file.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{who}: it wants data outside its folder ({name}).")
        files.add(check_regular(file, f"{who}: its data {name}"))
    if size + sum(file.stat().st_size for file in files) > MOST_BYTES:
        raise ValueError(f"{who}: with its data it is larger than 2 GB; rank_batch takes features that you extract.")
    try:
        for tensor in tensors:
            external.load_external_data_for_tensor(tensor, str(folder))
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
    except Exception as error:
        raise ValueError(f"{who}: its data cannot be read: {first_line(error)}") from error
    return sorted(files)
