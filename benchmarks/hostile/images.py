"""Folders of images with a damaged one among them, for two sound models."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.hostile.features import BYTES, SOUND, SPECIAL, Case, Rng, replace
from benchmarks.hostile.zoos import save

Make = Callable[[Path, Rng], Any]  # of the folder with one folder of images per class
FORMATS = {"png": "PNG", "jpg": "JPEG", "gif": "GIF", "bmp": "BMP", "webp": "WEBP", "tif": "TIFF", "ppm": "PPM"}


def picture(rng: Rng, mode: str = "L", size: tuple[int, int] = (8, 8)) -> Image.Image:
    """Noise."""
    return Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)).convert(mode)


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    """The bytes of an image file."""
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def png(width: int, height: int, *chunks: tuple[bytes, bytes], depth: int = 8) -> bytes:
    """A grey PNG whose header says what one likes."""
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def _zeros(width: int, height: int) -> bytes:
    pack, row = zlib.compressobj(), bytes(width + 1)
    return png(width, height, (b"IDAT", b"".join(pack.compress(row) for _ in range(height)) + pack.flush()))


def _file(name: str, make: Callable[[Rng], bytes]) -> Make:
    def apply(root: Path, rng: Rng) -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make(rng))

    return apply


def _image(mode: str, format: str = "PNG", size: tuple[int, int] = (8, 8), name: str = "b/x.png") -> Make:
    return _file(name, lambda rng: encoded(picture(rng, mode, size), format))


def _saved(image: Callable[[Rng], Image.Image], format: str = "PNG", name: str = "b/x.png", **options: Any) -> Make:
    return _file(name, lambda rng: encoded(image(rng), format, **options))


def _frames(count: int) -> Make:
    return _file("b/x.gif", lambda rng: encoded(
        picture(rng), "GIF", save_all=True, append_images=[picture(rng) for _ in range(count)]
    ))  # fmt: skip


def _class(name: bytes) -> Make:
    return lambda root, rng: (root / "b").rename(os.fsdecode(bytes(root) + b"/" + name))


def _deep(root: Path, rng: Rng) -> None:
    path = root / "b" / ("/".join("d" * 200 for _ in range(15)))
    path.mkdir(parents=True)
    (path / "x.png").write_bytes(encoded(picture(rng)))


def _only(*names: str) -> Make:
    """Nothing but folders of these names, empty."""

    def apply(root: Path, rng: Rng) -> None:
        for path in sorted(root.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        for name in names:
            (root / name).mkdir()

    return apply


_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n{} loop\n%%EOF\n"
_APPLE = b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(96)
_TEXT_BOMB = (b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000)))
KINDS: dict[str, tuple[Make, str]] = {
    **{f"{suffix}-{name}": (
        _file(f"b/x.{suffix}", lambda rng, f=format, d=damage: d(encoded(picture(rng), f), rng)),
        "either" if name == "truncated" else expected)
       for suffix, format in FORMATS.items() for name, (damage, expected) in BYTES.items()},
    **{f"png-is-{kind}": (lambda root, rng, k=kind: replace(root / "b" / "x.png", k),
                          "either" if kind == "folder" else "refused") for kind in SPECIAL},
    **{f"class-is-{kind}": (lambda root, rng, k=kind: replace(root / "d", k),
                            "either" if kind == "folder" else "ranked") for kind in SPECIAL},
    "class-is-its-parent": (lambda root, rng: (root / "d").symlink_to(root), "either"),
    "png-text": (_file("b/x.png", lambda rng: b"hello\n"), "refused"),
    "png-is-jpeg": (_image("L", "JPEG"), "ranked"),
    "png-is-eps": (_file("b/x.png", lambda rng: _EPS), "refused"),
    "png-is-svg": (_file("b/x.png", lambda rng: b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "refused"),
    "bomb-60000": (_file("b/x.png", lambda rng: png(60_000, 60_000)), "refused"),
    "bomb-2e9": (_file("b/x.png", lambda rng: png(2**31 - 1, 2**31 - 1)), "refused"),
    "bomb-1x2e9": (_file("b/x.png", lambda rng: png(1, 2**31 - 1, depth=1)), "refused"),
    "bomb-10000": (_file("b/x.png", lambda rng: _zeros(10_000, 10_000)), "refused"),
    "bomb-13000": (_file("b/x.png", lambda rng: png(13_000, 13_000)), "refused"),
    "bomb-text": (_file("b/x.png", lambda rng: png(8, 8, _TEXT_BOMB)), "refused"),
    "png-zero-wide": (_file("b/x.png", lambda rng: png(0, 8)), "refused"),
    "png-no-data": (_file("b/x.png", lambda rng: png(8, 8)), "refused"),
    "png-chunk-length": (_file("b/x.png", lambda rng: png(8, 8)[:33] + b"\xff\xff\xff\xffIDAT"), "refused"),
    "ppm-huge": (_file("b/x.ppm", lambda rng: b"P5 60000 60000 255\n"), "refused"),
    "ppm-digits": (_file("b/x.ppm", lambda rng: b"P5 " + b"9" * 5000 + b" 8 255\n"), "refused"),
    "tiff-loop": (_file("b/x.tif", lambda rng: b"II*\0\x08\0\0\0\0\0\x08\0\0\0"), "refused"),
    "16-bit": (_saved(lambda rng: Image.fromarray(rng.integers(0, 65536, (8, 8)).astype(np.uint16))), "ranked"),
    "1-bit": (_image("1"), "ranked"),
    "grey-and-alpha": (_image("LA"), "either"),
    "palette": (_image("P"), "either"),
    "palette-transparent": (_saved(lambda rng: picture(rng, "P"), transparency=0), "either"),
    "rgba": (_image("RGBA"), "either"),
    "rgb": (_image("RGB"), "either"),
    "cmyk": (_image("CMYK", "JPEG", name="b/x.jpg"), "either"),
    "lab": (_saved(lambda rng: Image.new("LAB", (8, 8)), "TIFF", "b/x.tif"), "either"),
    "float": (_saved(lambda rng: Image.new("F", (8, 8), np.nan), "TIFF", "b/x.tif"), "refused"),
    "animated": (_frames(3), "either"),
    "animated-long": (_frames(2000), "either"),
    "size-1x1": (_image("L", size=(1, 1)), "either"),
    "size-9x8": (_image("L", size=(9, 8)), "either"),
    "size-1x20000": (_image("L", size=(1, 20_000)), "either"),
    "exif-turned": (_saved(lambda rng: picture(rng), "JPEG", "b/x.jpg", exif=b"Exif\0\0" + b"\xff" * 50), "either"),
    "capitals": (_image("L", name="b/X.PNG"), "ranked"),
    "appledouble": (_file("b/._x.png", lambda rng: _APPLE), "ranked"),
    "macosx": (_file("__MACOSX/a/._x.png", lambda rng: _APPLE), "ranked"),
    "macosx-flat": (_file("__MACOSX/._x.png", lambda rng: _APPLE), "ranked"),
    "thumbs": (_file("b/Thumbs.db", lambda rng: rng.bytes(99)), "ranked"),
    "ds-store": (_file(".DS_Store", lambda rng: rng.bytes(99)), "ranked"),
    "hidden-folder": (_file(".git/x.png", lambda rng: b""), "ranked"),
    "stray-file": (_file("x.png", lambda rng: b""), "ranked"),
    "folder-empty": (lambda root, rng: (root / "d").mkdir(), "refused"),
    "folder-deep": (_deep, "ranked"),
    "all-empty": (_only("a", "b"), "refused"),
    "nothing": (_only(), "refused"),
    "class-escape": (_class(b"\x1b[31mb\x07\n"), "ranked"),
    "class-bytes": (_class(b"b\xff"), "ranked"),
    "file-escape": (_file("b/\x1b[31mx\n.png", lambda rng: b""), "refused"),
    "file-bytes": (_file(os.fsdecode(b"b/x\xff.png"), lambda rng: b""), "refused"),
    "split-is-a-class": (lambda root, rng: (root / "b").rename(root / "test"), "either"),
    "many-classes": (lambda root, rng: [(root / f"z{i}").mkdir() for i in range(3000)], "refused"),
}  # fmt: skip


def build(kind: str, rng: Rng, folder: Path) -> Case:
    """The case of a kind of damage."""
    root, (make, expected) = folder / "images", KINDS[kind]
    for seed, name in enumerate(SOUND):
        save(folder / "zoo", name, seed)
    for brightness, label in enumerate("abc"):
        (root / label).mkdir(parents=True)
        for i in range(8):
            pixels = rng.integers(0, 90, (8, 8)) + 80 * brightness
            (root / label / f"{i}.png").write_bytes(encoded(Image.fromarray(pixels.astype(np.uint8))))
    make(root, rng)
    one = sorted(p.name for p in (root / "b").iterdir() if p.name[0].lower() == "x") if (root / "b").is_dir() else []
    wanted = expected == "refused" or kind.endswith("truncated")
    names = one[0] if one and one[0].isprintable() and wanted else ""
    classes = 3 if expected == "ranked" else 0
    return Case(["rank", folder / "zoo", "--data", root], SOUND, expected, True, names, classes)
