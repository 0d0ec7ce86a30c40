"""Damaged labels beside two sound models."""

import codecs
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hostile.features import BYTES, LABELS, SOUND, SPECIAL, Case, Rng, npy_with, replace, saved
from benchmarks.hostile.features import sound as features_of

TEXT = [f"class {label}" for label in LABELS]


def _lines(lines: list[str], encoding: str = "utf-8", end: str = "\n") -> Callable[[Rng], bytes]:
    return lambda rng: end.join(lines).encode(encoding)


def _one(value: str) -> list[str]:
    return [value, *TEXT[1:]]


def _array(array: Any, suffix: str = "npy", key: str = "labels") -> Callable[[Rng], bytes]:
    return lambda rng: saved(array, suffix, key)


def _with(value: float, dtype: type = float) -> np.ndarray:
    array = LABELS.astype(dtype)
    array[5] = value
    return array


_KINDS: dict[str, tuple[str, Callable[[Rng], bytes], str]] = {  # kind: file, its bytes, what is expected
    **{f"{suffix}-{name}": (f"l.{suffix}", lambda rng, s=suffix, d=damage: d(saved(LABELS, s, "labels"), rng), expected)
       for suffix in ("npy", "npz", "safetensors") for name, (damage, expected) in BYTES.items()},
    "txt": ("l.txt", _lines(TEXT), "ranked"),
    "txt-bom": ("l.txt", lambda rng: codecs.BOM_UTF8 + "\n".join(TEXT).encode(), "ranked"),
    "txt-crlf": ("l.txt", _lines(TEXT, end="\r\n"), "ranked"),
    "txt-cr": ("l.txt", _lines(TEXT, end="\r"), "ranked"),
    "txt-latin-1": ("l.txt", _lines(_one("Zoë"), "latin-1"), "refused"),
    "txt-utf-16": ("l.txt", _lines(TEXT, "utf-16"), "ranked"),
    "txt-utf-16-le": ("l.txt", _lines(TEXT, "utf-16-le"), "refused"),
    "txt-utf-32": ("l.txt", _lines(TEXT, "utf-32"), "ranked"),
    "txt-empty": ("l.txt", _lines([]), "refused"),
    "txt-blank": ("l.txt", _lines([" "] * 24), "refused"),
    "txt-empty-line": ("l.txt", _lines(_one("")), "refused"),
    "txt-blank-at-end": ("l.txt", _lines([*TEXT, "", "", ""]), "ranked"),
    "txt-nan": ("l.txt", _lines(_one("nan")), "either"),
    "txt-numbers-nan": ("l.txt", _lines(["nan", *map(str, LABELS[1:])]), "either"),
    "txt-escape": ("l.txt", _lines(_one("\x1b[31m")), "either"),
    "txt-nul": ("l.txt", _lines(_one("\0")), "refused"),
    "txt-nul-at-end": ("l.txt", _lines([f"{t}\0" for t in TEXT]), "refused"),
    "txt-separators": ("l.txt", _lines([f"a\x1cb\x85c\u2028{i}" for i in LABELS]), "either"),
    "txt-fewer": ("l.txt", _lines(TEXT[:20]), "refused"),
    "txt-more": ("l.txt", _lines(TEXT * 2), "refused"),
    "txt-one-class": ("l.txt", _lines(["a"] * 24), "refused"),
    "txt-all-different": ("l.txt", _lines([str(i) for i in range(24)]), "refused"),
    "txt-huge-line": ("l.txt", _lines(_one("x" * 20_000_000)), "either"),
    "txt-huge-lines": ("l.txt", _lines([*TEXT[:3], *("x" * 100_000 for _ in range(21))]), "either"),
    "txt-one-line-for-all": ("l.txt", _lines([",".join(TEXT)]), "refused"),
    "txt-many-lines": ("l.txt", _lines(["a", "b"] * 2_000_000), "refused"),
    "txt-random": ("l.txt", lambda rng: rng.bytes(4000), "refused"),
    "csv": ("l.csv", _lines(TEXT), "ranked"),
    "csv-header": ("l.csv", _lines(["label", *TEXT]), "refused"),
    "csv-columns": ("l.csv", _lines([f"{i},{t}" for i, t in enumerate(TEXT)]), "refused"),
    "no-suffix": ("l", _lines(TEXT), "ranked"),
    "capitals": ("l.NPY", _array(LABELS), "ranked"),
    "npy-rows-1e12": ("l.npy", lambda rng: npy_with("(1000000000000,)", "'<i8'"), "refused"),
    "npy-text-wide": ("l.npy", lambda rng: npy_with("(24,)", "'<U500000000'"), "refused"),
    "npz-two-arrays": ("l.npz", lambda rng: _two(), "refused"),
    "npz-other-key": ("l.npz", _array(LABELS, "npz", "y"), "ranked"),
    **{f"array-{name}": ("l.npy", _array(array), expected) for name, array, expected in (
        ("nan", _with(np.nan), "refused"), ("inf", _with(np.inf), "either"), ("negative", LABELS - 5, "ranked"),
        ("objects", np.array(TEXT, object), "refused"), ("complex", LABELS * 1j, "either"),
        ("complex-nan", _with(np.nan, complex), "refused"), ("2d", LABELS[:, None], "ranked"),
        ("0d", np.int64(3), "refused"), ("empty", LABELS[:0], "refused"), ("dates", LABELS.astype("M8[D]"), "either"),
        ("not-a-time", np.array(["NaT", *TEXT[1:]][:1] * 8 + ["2020-01-01", "2021-01-01"] * 8, "M8[D]"), "refused"),
        ("structured", np.zeros(24, "i4,f4"), "refused"), ("bytes", np.array([t.encode() for t in TEXT]), "ranked"),
        ("void", LABELS.astype("i8").view("V8"), "either"), ("uint64", LABELS.astype("u8") + 2**63, "ranked"),
        ("bool", LABELS > 0, "ranked"), ("one-class", LABELS * 0, "refused"),
        ("all-different", np.arange(24), "refused"),
        ("text-nan", np.array(_one("nan")), "either"), ("half", LABELS.astype("f2"), "ranked"))},
}  # fmt: skip
KINDS = (*_KINDS, *(f"{suffix}-is-{kind}" for suffix in ("npy", "npz", "safetensors", "txt") for kind in SPECIAL))


def _two() -> bytes:
    out = io.BytesIO()
    np.savez(out, **{"\x1b[31ma": LABELS, "b\nc": LABELS})  # pyright: ignore[reportArgumentType]
    return out.getvalue()


def build(kind: str, rng: Rng, folder: Path) -> Case:
    """The case of a kind of damage."""
    features = folder / "features"
    features.mkdir()
    for seed, name in enumerate(SOUND):
        np.save(features / f"{name}.npy", features_of(seed))
    if kind in _KINDS:
        name, make, expected = _KINDS[kind]
        (folder / name).write_bytes(make(rng))
    else:
        suffix, _, special = kind.split("-")
        name, expected = f"l.{suffix}", "refused"
        replace(folder / name, special)
    return Case(["rank-features", features, "--labels", folder / name], SOUND, expected, whole=True)
