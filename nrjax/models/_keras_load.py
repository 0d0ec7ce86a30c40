"""Loads `.keras` files of Keras' own layers alone: no code in a file is run or imported."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

from nrjax._utils.frameworks import framework
from nrjax._utils.messages import first_line, printable, shortened
from nrjax._utils.paths import check_regular
from nrjax.models._keras import KerasModel
from nrjax.models._preprocessing import Preprocessing

MOST_CONFIG = 1 << 26  # bytes


def load_keras(
    where: str, *, base: Path = Path(), preprocessing: Preprocessing | None = None,
    image_size: tuple[int, int] | None = None,
) -> KerasModel:  # fmt: skip
    """The model of a `.keras` file, of Keras' own layers alone: names of other modules are not imported.

    Raises:
      ValueError: it is no such file, or holds a Lambda or classes that are not Keras' own.
    """
    who = shortened(f"keras:{where}")
    path = base / Path(where).expanduser()
    check_regular(path, who)
    if path.suffix != ".keras":
        raise ValueError(f"{who}: expected a .keras file; older formats are pickled or ambiguous. Save it anew.")
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > MOST_CONFIG:
                raise ValueError("its config.json is enormous")
            config = json.loads(archive.read("config.json"))
    except Exception as error:
        raise ValueError(f"{who}: it is damaged or no .keras file: {first_line(error)}") from error
    _check_config(config, who)
    keras = framework("keras", who)
    try:
        module = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        message = re.sub(r"\s+", " ", str(error))[:300]
        raise ValueError(f"{who}: Keras cannot load it: {message}") from error
    model = KerasModel(module, who, preprocessing, image_size)
    model.pure = True  # of Keras' own layers
    model.files = (path,)
    return model


def _check_config(config: Any, who: str) -> None:
    """Raises ValueError where a file names code: only classes of Keras itself are allowed, and no Lambda."""
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if part.get("class_name") in ("Lambda", "__lambda__"):
                raise ValueError(f"{who}: it has a Lambda layer, which is code in a file; nrjax never runs it.")
            module = part.get("module")
            if "class_name" in part and module is not None and str(module).split(".")[0] != "keras":
                raise ValueError(
                    f"{who}: it names code outside Keras ({printable(shortened(str(module), 60))}), which is not "
                    "imported. Build the model yourself and pass it: nrjax.from_keras(model)."
                )
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
