"""Folders of features with a damaged file among them; and the damage that all families share."""

import io
import json
import os
import pickle
import shutil
import socket
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy

Rng = np.random.Generator
SOUND = ("one", "two")
LABELS = np.arange(24) % 3
SPECIAL = ("fifo", "socket", "device", "folder", "dangling", "loop")


class Case(NamedTuple):
    """A command about damaged input and what must come of it.

    Attributes:
      arguments: of `nrjax`, without the format.
      sound: models that must be ranked.
      expected: `refused`, `ranked`, or `either` where the seed decides or both will do.
      whole: one sentence may stand in place of the ranking, since nothing can be ranked without the damaged part.
      names: what the sentence must contain, if it is about the damage.
      classes: that there are, where a ranking must know it.
      listing: arguments of a second command, one that prints no ranking.
    """

    arguments: list[Any]
    sound: tuple[str, ...]
    expected: str
    whole: bool = False
    names: str = ""
    classes: int = 0
    listing: list[Any] | None = None


def flipped(data: bytes, rng: Rng) -> bytes:
    """One to eight bits changed, half of the time in the first 200 bytes, where headers are."""
    array = np.frombuffer(data, np.uint8).copy()
    where = rng.integers(0, min(200, len(array)) if rng.random() < 0.5 else len(array), rng.integers(1, 9))
    array[where] ^= np.left_shift(1, rng.integers(0, 8, len(where))).astype(np.uint8)
    return array.tobytes()


BYTES: dict[str, tuple[Callable[[bytes, Rng], bytes], str]] = {
    "truncated": (lambda data, rng: data[: rng.integers(1, len(data))], "refused"),
    "flipped": (flipped, "either"),
    "empty": (lambda data, rng: b"", "refused"),
    "random": (lambda data, rng: b"\x93" + rng.bytes(int(rng.integers(1, 4000))), "refused"),
    "zeros": (lambda data, rng: bytes(int(rng.integers(1, 4000))), "refused"),
    "pickle": (lambda data, rng: pickle.dumps({"params": np.zeros(3)}), "refused"),
}


def replace(path: Path, kind: str) -> None:
    """Something that is no regular file in the place of a file; see `SPECIAL`."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":  # bound nearby: a socket's path has at most 107 bytes
        with socket.socket(socket.AF_UNIX) as one:
            near = Path(os.path.relpath(path))
            one.bind(str(min(near, path, key=lambda p: len(str(p)))))
    elif kind == "folder":
        path.mkdir()
        (path / "inside").write_bytes(b"x")
    else:
        path.symlink_to({"device": "/dev/zero", "dangling": "nowhere", "loop": path.name}[kind])


def safetensors_with(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with a header of one's own."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def npy_with(shape: str, descr: str = "'<f4'", data: bytes = bytes(96)) -> bytes:
    """A .npy file whose header says what one likes."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text + b"\n" + data


def npz_bomb(rows: int) -> bytes:
    """A .npz of zeros, a thousandth of what it unpacks to."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("features.npy", "w") as member:
        member.write(npy_with(f"({rows}, 256)", data=b""))
        for _ in range(0, rows, 1024):
            member.write(bytes(1024 * 1024))
    return out.getvalue()


def saved(array: Any, suffix: str = "npy", key: str = "features") -> bytes:
    """The bytes of an array file."""
    if suffix == "safetensors":
        return safetensors.numpy.save({key: np.ascontiguousarray(array)})
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True) if suffix == "npy" else np.savez(out, **{key: array})
    return out.getvalue()


def sound(seed: int = 0) -> np.ndarray:
    """Features of 24 samples that separate three classes a little."""
    return (np.random.default_rng(seed).normal(size=(24, 6)) + LABELS[:, None]).astype(np.float32)


def _some(value: Any, dtype: Any = np.float32) -> Callable[[Rng], bytes]:
    def make(rng: Rng) -> bytes:
        array = sound().astype(dtype)
        array[rng.integers(0, 24), rng.integers(0, 6)] = value
        return saved(array)

    return make


_TENSOR = {"dtype": "F32", "shape": [24, 6], "data_offsets": [0, 576]}
_KINDS: dict[str, tuple[str, Callable[[Rng], bytes], str]] = {  # kind: file, its bytes, what is expected
    **{f"{suffix}-{name}": (f"d.{suffix}", lambda rng, s=suffix, d=damage: d(saved(sound(), s), rng), expected)
       for suffix in ("npy", "npz", "safetensors") for name, (damage, expected) in BYTES.items()},
    "npy-rows-1e12": ("d.npy", lambda rng: npy_with("(1000000000000, 6)"), "refused"),
    "npy-rows-1e9": ("d.npy", lambda rng: npy_with("(1000000000, 6)"), "refused"),
    "npy-rows-1e30": ("d.npy", lambda rng: npy_with(f"({10**30}, 6)"), "refused"),
    "npy-rows-negative": ("d.npy", lambda rng: npy_with("(-1, 6)"), "refused"),
    "npy-rows-true": ("d.npy", lambda rng: npy_with("(True, 24)"), "refused"),
    "npy-header-nested": ("d.npy", lambda rng: npy_with("(" * 3000 + ")" * 3000), "refused"),
    "npy-header-wide": ("d.npy", lambda rng: npy_with("(24, 6)", "'" + "f" * 60000 + "'"), "refused"),
    "npy-header-dtype": ("d.npy", lambda rng: npy_with("(24, 6)", "'<U999999999'"), "refused"),
    "npy-no-columns": ("d.npy", lambda rng: npy_with("(24, 0)"), "refused"),
    "npz-bomb": ("d.npz", lambda rng: npz_bomb(200 * 1024), "refused"),
    "npz-rows-1e12": ("d.npz", lambda rng: _zipped("features.npy", npy_with("(1000000000000, 6)")), "refused"),
    "npz-no-array": ("d.npz", lambda rng: _zipped("features.txt", b"hello"), "refused"),
    "npz-no-members": ("d.npz", lambda rng: b"PK\5\6" + bytes(18), "refused"),
    "npz-escape": ("d.npz", lambda rng: _zipped("../../\x1b[31mx.npy", saved(sound())), "either"),
    "npz-two": ("d.npz", lambda rng: _zipped("\x1b[2J.npy", saved(sound()), "b\n.npy", saved(sound())), "refused"),
    "npz-many": ("d.npz", lambda rng: _zipped(*(x for i in range(3000) for x in (f"{i}.npy", b""))), "refused"),
    "safetensors-header-length": ("d.safetensors", lambda rng: safetensors_with({}, length=1 << 62), "refused"),
    "safetensors-header-nested": ("d.safetensors", lambda rng: safetensors_with(b"[" * 100_000), "refused"),
    "safetensors-rows-1e12": (
        "d.safetensors", lambda rng: safetensors_with({"a": _TENSOR | {"shape": [10**12, 6]}}, bytes(576)), "refused"),
    "safetensors-overflow": (
        "d.safetensors", lambda rng: safetensors_with({"a": _TENSOR | {"shape": [2**63, 2]}}, bytes(576)), "refused"),
    "safetensors-dtype": (
        "d.safetensors", lambda rng: safetensors_with({"a": _TENSOR | {"dtype": "F8_E4M3", "shape": [24, 24]}},
                                                      bytes(576)), "either"),
    "safetensors-names": (
        "d.safetensors", lambda rng: safetensors_with({"\x1b[31m": _TENSOR, "b\nc": _TENSOR}, bytes(576)), "refused"),
    "safetensors-none": ("d.safetensors", lambda rng: safetensors_with({}), "refused"),
    **{f"capitals-{s}": (f"d.{s.upper()}", lambda rng, s=s: saved(sound(), s), "ranked") for s in ("npy", "npz")},
    **{f"array-{name}": ("d.npy", lambda rng, a=array: saved(a), expected) for name, array, expected in (
        ("0d", np.float32(3), "refused"), ("1d", np.zeros(24), "refused"), ("3d", np.ones((24, 2, 2)), "refused"),
        ("empty", np.zeros((0, 6)), "refused"), ("complex", sound() * 1j, "refused"),
        ("text", np.full((24, 6), "\x1b[31m"), "refused"), ("bytes", np.full((24, 6), b"x"), "refused"),
        ("structured", np.zeros(24, "f4,i4"), "refused"), ("dates", np.zeros((24, 6), "M8[s]"), "refused"),
        ("objects", np.full((24, 6), None), "refused"), ("void", np.zeros((24, 6), "V4"), "refused"),
        ("half", sound().astype(np.float16), "ranked"), ("bool", sound() > 1, "ranked"),
        ("big-endian", sound().astype(">f8"), "ranked"), ("longdouble", sound().astype(np.longdouble), "either"),
        ("constant", np.ones((24, 6)), "either"), ("more-rows", np.ones((25, 6)), "refused"),
        ("fewer-rows", np.ones((2, 6)), "refused"), ("transposed", sound().T, "refused"),
        ("tiny", sound() * 1e-38, "either"), ("denormal", sound() * np.float32(1e-44), "either"))},
    **{f"value-{name}": ("d.npy", make, expected) for name, make, expected in (
        ("nan", _some(np.nan), "refused"), ("inf", _some(-np.inf), "refused"),
        ("1e300", _some(1e300, float), "either"),
        ("1e37", _some(1e37), "either"), ("1e38", _some(3e38), "either"), ("1e20", _some(1e20), "either"),
        ("int64", _some(2**63 - 1, np.int64), "either"))},
    "name-escape": ("\x1b[31md\n.npy", lambda rng: b"", "refused"),
    "name-bytes": (os.fsdecode(b"d\xff.npy"), lambda rng: b"", "refused"),
    "name-bytes-sound": (os.fsdecode(b"d\xff.npy"), lambda rng: saved(sound()), "either"),
    "name-markup": ("[red]$d_{$.npy", lambda rng: saved(sound()), "ranked"),
    "name-none": (".npy", lambda rng: b"", "either"),
    "appledouble": ("._one.npy", lambda rng: b"\0\5\x16\7" + bytes(80), "either"),
}  # fmt: skip
KINDS = (*_KINDS, *(f"{suffix}-is-{kind}" for suffix in ("npy", "npz", "safetensors") for kind in SPECIAL))


def _zipped(*members: Any) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in zip(members[::2], members[1::2], strict=True):
            archive.writestr(name, data)
    return out.getvalue()


def build(kind: str, rng: Rng, folder: Path) -> Case:
    """The case of a kind of damage."""
    features = folder / "features"
    features.mkdir()
    np.save(folder / "labels.npy", LABELS)
    for seed, name in enumerate(SOUND):
        np.save(features / f"{name}.npy", sound(seed))
    if kind in _KINDS:
        name, make, expected = _KINDS[kind]
        (features / name).write_bytes(make(rng))
    else:
        suffix, _, special = kind.split("-")
        name, expected = f"d.{suffix}", "either"
        replace(features / name, special)
    ranked = (*SOUND, Path(name).stem) if expected == "ranked" else SOUND
    return Case(["rank-features", features, "--labels", folder / "labels.npy"], ranked, expected)
