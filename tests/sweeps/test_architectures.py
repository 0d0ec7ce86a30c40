"""Architectures go to other processes one by one: code that is not there is missed by the models that need it."""

import sys

import pytest

from nrjax.models import _registry
from nrjax.sweeps._architectures import packed_architectures, unpack_architectures


def test_a_module_that_is_not_there_costs_its_own_models(tmp_path, monkeypatch):
    monkeypatch.setattr(_registry, "_factories", {})
    (tmp_path / "only_here.py").write_text("def net(**config):\n    return config\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here  # pyright: ignore[reportMissingImports]

    _registry.register_architecture("lost", only_here.net)
    _registry.register_architecture("kept", lambda **config: config)
    packed = packed_architectures()
    _registry._factories.clear()
    sys.path.remove(str(tmp_path))
    monkeypatch.delitem(sys.modules, "only_here")
    unpack_architectures(packed)
    assert _registry.architectures() == ["kept", "lost"]
    assert _registry._factories["kept"](width=3) == {"width": 3}
    with pytest.raises(ValueError, match=r"'lost' cannot be made in this process \(ModuleNotFoundError: .*only_here"):
        _registry._factories["lost"](width=3)
