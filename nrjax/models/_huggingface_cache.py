"""The folder of a model of Hugging Face: a directory, or its snapshot in the hub's cache."""

# pyright: reportMissingImports=false

from collections.abc import Iterator
from pathlib import Path

from nrjax._utils.messages import first_line
from nrjax._utils.process_wide import process_wide

# Say how the weights are used, and are no files of a plain model: that of an encoder of sentences, of an adapter.
MANIFESTS = ("modules.json", "adapter_config.json")
FILES = ("*.json", "*.txt", "*.model", "*model.safetensors", "*model-*.safetensors")  # that such a model is read from


@process_wide
def offline() -> Iterator[None]:
    """While entered, the hub is not asked, so that a file that its cache lacks is an error at once."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def find_folder(where: str, base: Path, who: str, *, download: bool) -> Path:
    """The directory of a model. Of a name that neither `base` nor the cache has, one that does not exist.

    Args:
      where: a directory relative to `base`, or a name on the hub.
      base: what it is relative to.
      who: what errors name.
      download: whether the hub is asked for the files of a model that has a manifest; others are left to transformers.

    Raises:
      ValueError: the hub does not answer.
    """
    folder = base / Path(where).expanduser()
    if folder.is_dir() or where.startswith((".", "/", "~")):
        return folder
    import huggingface_hub as hub

    if download:
        for manifest in MANIFESTS:
            try:
                hub.hf_hub_download(where, manifest)
                return Path(hub.snapshot_download(where, allow_patterns=list(FILES)))
            except hub.errors.EntryNotFoundError:  # the model has no such file; offline: its cache has none
                continue
            except Exception as error:
                raise ValueError(f"{who}: the hub does not have it, or does not answer: {first_line(error)}") from error
        return folder
    found = (hub.try_to_load_from_cache(where, name) for name in (*MANIFESTS, "config.json"))
    return next((Path(path).parent for path in found if isinstance(path, str)), folder)
