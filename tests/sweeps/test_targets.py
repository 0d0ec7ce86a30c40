"""Targets of every kind in a race by real processes: a driver that is killed, and the same command again."""

import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import nrjax
from nrjax import demo
from nrjax.cli import main

SAMPLES = 820  # two rounds: 400, and all
SMALL = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 16}


def pictures(folder, count=SAMPLES):
    """Files of the bundled pictures, and their classes."""
    _, images, labels = nrjax.load_demo()
    folder.mkdir()
    for i, image in enumerate(images[:count, ..., 0]):
        Image.fromarray(image).save(folder / f"{i:04}.png")
    return images[:count, ..., 0].astype(float), labels[:count]


def write(path, header, rows):
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return ["--data", str(path)]


def numbers(folder):
    images, _ = pictures(folder / "pictures")
    rows = [(f"pictures/{i:04}.png", image[:14].mean(), image.std()) for i, image in enumerate(images)]
    return [*write(folder / "n.csv", "image,above,contrast", rows), "--label", "above,contrast"]


def several_labels(folder):
    images, labels = pictures(folder / "pictures")
    rows = [
        (f"pictures/{i:04}.png", int(image.mean() > 70), int(labels[i] in (1, 3)), int(labels[i] % 2))
        for i, image in enumerate(images)
    ]
    return [*write(folder / "n.csv", "image,bright,slim,odd", rows), "--label", "bright,slim,odd"]


def groups(folder):
    _, labels = pictures(folder / "pictures")
    rows = [(f"pictures/{i:04}.png", f"c{label}", f"shop {i % 90}") for i, label in enumerate(labels)]
    return [*write(folder / "n.csv", "image,label,shop", rows), "--groups", "shop"]


def positions(folder):
    images, _ = pictures(folder / "images", 60)
    (folder / "masks").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(((image > 20) + (image > 160)).astype(np.uint8)).save(folder / "masks" / f"{i:04}.png")
    return ["--data", str(folder), "--task", "positions", "--max-samples", str(SAMPLES), "--layer", "conv2"]


def words(folder):
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(SAMPLES // 4):
        for _ in range(4):
            word = "".join(rng.choice(list("abcdefghij"), rng.integers(1, 5)))
            lines.append(f"{word} {'VOWEL' if word[0] in 'aei' else 'OTHER' if len(word) > 1 else 'LETTER'}")
        lines.append("")
    (folder / "w.conll").write_text("\n".join(lines), encoding="utf-8")
    return ["--data", str(folder / "w.conll")]


def pairs(folder):
    rng = np.random.default_rng(0)
    texts = [[" ".join(rng.choice(list("abcdefghij"), 4)) for _ in range(SAMPLES)] for _ in range(2)]
    rows = [(one, other, len(set(one) & set(other)) + rng.random() / 2) for one, other in zip(*texts, strict=True)]
    command = write(folder / "p.csv", "one,other,alike", rows)
    return [*command, "--text", "one,other", "--label", "alike", "--scores", "similarity,probe"]


def recordings(folder):
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed: pip install 'nrjax[audio]'")
    rng = np.random.default_rng(0)
    for i in range(SAMPLES):
        path = folder / "clips" / ("low", "high")[i % 2] / f"{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        wave = np.sin((600, 900)[i % 2] * np.arange(1600) / 16000 * 2 * np.pi) + rng.normal(0, 2, 1600)
        soundfile.write(path, 0.1 * wave, 16000)
    return ["--data", str(folder / "clips")]


def images_models(folder):
    return [str(demo.ZOO), "--where", "name in ('C10', 'F10', 'M10', 'F0-4', 'M5-9')"]


def text_models(folder):
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij", *(f"##{one}" for one in "abcdefghij")]
    config = transformers.BertConfig(vocab_size=len(pieces), **SMALL)
    tokenizer = transformers.BertTokenizerFast(vocab={piece: i for i, piece in enumerate(pieces)})
    return saved(folder, lambda: transformers.BertModel(config), tokenizer)


def sound_models(folder):
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    config = transformers.ASTConfig(**SMALL, patch_size=16, num_mel_bins=32, max_length=32)
    extractor = transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=32)
    return saved(folder, lambda: transformers.ASTModel(config), extractor)


def saved(folder, network, beside):
    torch = pytest.importorskip("torch", exc_type=ImportError)
    for seed in range(5):
        torch.manual_seed(seed)
        made = network().eval()
        for weight in made.parameters():
            torch.nn.init.normal_(weight, std=0.02 + 0.1 * seed) if weight.ndim > 1 else None
        made.save_pretrained(folder / f"m{seed}")
        beside.save_pretrained(folder / f"m{seed}")
    return [f"hf:{folder / f'm{seed}'}" for seed in range(5)]


KINDS = {
    numbers: images_models, several_labels: images_models, groups: images_models, positions: images_models,
    words: text_models, pairs: text_models, recordings: sound_models,
}  # fmt: skip

TASKS = {numbers: "regression", several_labels: "multilabel", pairs: "regression"}
GROUPS = {groups: 90, positions: 60, words: SAMPLES // 4}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_race_that_was_killed_goes_on(tmp_path, kind):
    command = [*KINDS[kind](tmp_path), *kind(tmp_path)]
    command = ["sweep", *command, "--top", "2", "--progress", "lines", "--format", "json"]
    process = [sys.executable, "-m", "nrjax", *command, "--store", str(tmp_path / "r.db")]
    options = {"stderr": subprocess.PIPE, "text": True, "env": os.environ | {"JAX_PLATFORMS": "cpu"}}
    with subprocess.Popen([*process, "--workers", "1"], stdout=subprocess.DEVNULL, **options) as driver:
        said = []
        for line in driver.stderr:
            said.append(line)
            if line.startswith("[2/"):
                driver.send_signal(signal.SIGKILL)
    assert driver.returncode == -signal.SIGKILL, "".join(said)
    resumed = subprocess.run([*process, "--engine", "inline"], stdout=subprocess.PIPE, **options)
    page = tmp_path / "page.html"
    whole = CliRunner().invoke(main, [*command, "--engine", "inline", "--report", str(page)])
    assert (resumed.returncode, whole.exit_code) == (0, 0), (resumed.stderr, whole.stderr, whole.exception)
    assert int(re.search(r"(\d+) were stored", resumed.stderr)[1]) >= 2
    first, second = json.loads(resumed.stdout), json.loads(whole.stdout)
    for model in first["models"] + second["models"]:
        del model["ms"], model["peak_memory"]  # which are others each time
    assert first["models"] == second["models"]
    assert first["settings"].get("task", "classification") == TASKS.get(kind, "classification")
    assert first["settings"].get("groups", 0) == GROUPS.get(kind, 0)
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/png") >= 2
    assert "Samples of the best and the worst model" in text
