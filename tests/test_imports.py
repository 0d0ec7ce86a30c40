import subprocess
import sys

import pytest


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


HEAVY = "{m.partition('.')[0] for m in sys.modules} & {'flax', 'tensorflow_datasets', 'matplotlib', 'orbax', 'pandas'}"
FRAMEWORKS = (
    "{m.partition('.')[0] for m in sys.modules} & "
    "{'torch', 'timm', 'transformers', 'onnx', 'onnxruntime', 'keras', 'datasets', 'pyarrow', 'tensorflow'}"
)


def test_importing_nrjax_loads_neither_flax_nor_tfds():
    assert python(f"import sys, nrjax; print({HEAVY})") == "set()"


def test_ranking_a_zoo_loads_no_framework_but_flax():
    code = f"import sys, nrjax; nrjax.rank(*nrjax.load_demo(), layer='dense'); print({FRAMEWORKS})"
    assert python(code) == "set()"


def test_rank_batch_works_without_flax_and_tfds():
    code = (
        "import sys; sys.modules['flax'] = sys.modules['tensorflow_datasets'] = None\n"
        "import nrjax, numpy as np; x = np.random.default_rng(0).normal(size=(20, 5))\n"
        "print(nrjax.rank_batch({'only': x}, np.arange(20) % 2).best)"
    )
    assert python(code) == "only"


@pytest.mark.parametrize("name", __import__("nrjax").__all__)
def test_public_names_resolve_and_are_documented(name):
    import nrjax

    value = getattr(nrjax, name)
    assert name in dir(nrjax)
    assert name == "__version__" or (value.__doc__ and not isinstance(value, type(sys)))


@pytest.mark.parametrize("name", ["datasets", "demo", "models"])
def test_modules_of_names_are_there_at_first_use(name):
    assert python(f"import nrjax; print(nrjax.{name}.__name__)") == f"nrjax.{name}"


def test_unknown_names():
    import nrjax

    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = nrjax.nonsense
