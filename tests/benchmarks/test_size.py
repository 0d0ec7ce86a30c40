"""What a dependency weighs is what nothing else brings."""

from importlib import metadata

from benchmarks import size


def test_what_is_required_and_what_that_requires():
    required = size.direct("nrjax")
    assert {"jax", "flax", "numpy"} <= required
    assert "pytest" not in required  # of an extra
    assert required | {"ml-dtypes"} <= size.closure({"nrjax"})
    assert "flax" not in size.closure({"jax"})
    assert size.closure({"jax"}) == size.closure({"jax", "jaxlib"})


def test_weight_is_of_the_files_that_were_installed():
    files = [file.locate() for file in metadata.files("click") or [] if file.suffix == ".py"]
    assert size.weight({"click"}) >= sum(path.stat().st_size for path in files) > 1e5


def test_table_adds_up(capsys):
    size.main()
    *rows, last = [line.split("|")[2].strip(" *") for line in capsys.readouterr().out.splitlines()[2:]]
    assert abs(sum(map(float, rows)) - float(last)) < 1
