"""Zoos of two sound models and a damaged one."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from flax import serialization

import nrjax
from benchmarks.hostile.features import BYTES, SOUND, SPECIAL, Case, Rng, replace, safetensors_with
from nrjax.models import save_variables

CONFIG = {"classes": 3, "conv_features": [2, 3], "dense_features": 8}
SHAPES = {"conv1": (5, 5, 1, 2), "conv2": (5, 5, 2, 3), "dense": (12, 8), "logits": (8, 3)}
FORMATS = ("safetensors", "msgpack", "orbax")
INPUT, DEEP = [8, 8, 1], 100_000
Damage = Callable[[Path, Rng], Any]


def variables(seed: int, **changed: tuple[int, ...]) -> dict[str, Any]:
    """Weights of the small network, or of one whose layers have other shapes."""
    rng = np.random.default_rng(seed)
    return {"params": {
        name: {"kernel": rng.normal(0, 0.3, shape).astype("f4"), "bias": rng.normal(0, 0.3, shape[-1]).astype("f4")}
        for name, shape in (SHAPES | changed).items()
    }}  # fmt: skip


def save(
    zoo: Path, name: str, seed: int = 0, *, arrays: Any = None, weights: str = "weights.safetensors", **changes: Any
) -> Path:
    """A model, a sound one without changes; what `save_model` would refuse is written over what it wrote."""
    sound = {"architecture": "paper_cnn", "config": CONFIG, "input_shape": INPUT}
    folder = nrjax.save_model(zoo, name, variables(seed), weights=weights, **sound)
    if arrays is not None:
        written = folder / weights
        shutil.rmtree(written) if written.is_dir() else written.unlink()
        save_variables(written, arrays)
    description = folder / "model.json"
    description.write_text(json.dumps(json.loads(description.read_text()) | changes))
    return folder


def target(path: Path) -> Path:
    """Labelled images of three classes that differ in brightness."""
    labels = np.arange(24) % 3
    images = np.random.default_rng(0).integers(0, 90, (24, 8, 8, 1)) + 80 * labels[:, None, None, None]
    np.savez(path, images=images.astype(np.uint8), labels=labels)
    return path


def _bytes(name: str, damage: Callable[[bytes, Rng], bytes]) -> Damage:
    return lambda model, rng: (model / name).write_bytes(damage((model / name).read_bytes(), rng))


def _json(**changes: Any) -> Damage:
    """Fields of `model.json` changed; bytes stand for themselves, so that what Python cannot write can be said."""

    def apply(model: Path, rng: Rng) -> None:
        raw = {f"@{i}@": value for i, value in enumerate(changes.values()) if isinstance(value, bytes)}
        names = {value: mark for mark, value in raw.items()}
        fields = json.loads((model / "model.json").read_bytes())
        fields |= {k.rstrip("_"): names[v] if isinstance(v, bytes) else v for k, v in changes.items()}
        text = json.dumps(fields).encode()
        for mark, value in raw.items():
            text = text.replace(json.dumps(mark).encode(), value)
        (model / "model.json").write_bytes(text)

    return apply


def _arrays(change: Callable[[dict[str, Any]], Any], weights: str = "weights.safetensors") -> Damage:
    def apply(model: Path, rng: Rng) -> None:
        arrays = variables(2)
        change(arrays["params"])
        save(model.parent, model.name, arrays=arrays, weights=weights)

    return apply


def _fill(value: float) -> Damage:
    return _arrays(lambda params: params["dense"]["kernel"].__setitem__((0, 0), value))


def _pooled(halvings: int) -> Damage:
    """Images as large as `halvings` say, which pooling shrinks to a pixel: a tiny file of weights fits them."""
    size, conv = 1 << halvings, {f"conv{i + 1}": (5, 5, 1, 1) for i in range(halvings)}
    config = CONFIG | {"conv_features": [1] * halvings}
    return lambda model, rng: save(
        model.parent, model.name, arrays=variables(2, **conv, dense=(1, 8)), config=config, input_shape=[size, size, 1]
    )


def _orbax(damage: Callable[[bytes, Rng], bytes] | None) -> Damage:
    """One to three files of a checkpoint damaged, or gone."""

    def apply(model: Path, rng: Rng) -> None:
        files = sorted(p for p in model.joinpath("weights.orbax").rglob("*") if p.is_file())
        for i in rng.choice(len(files), rng.integers(1, 4), replace=False):
            files[i].write_bytes(damage(files[i].read_bytes() or b"\0", rng)) if damage else files[i].unlink()

    return apply


def _inside_orbax(kind: str) -> Damage:
    return lambda model, rng: replace(next(p for p in model.rglob("_METADATA")), kind)


def _write(name: str, data: bytes | Callable[[], bytes]) -> Damage:
    return lambda model, rng: (model / name).write_bytes(data if isinstance(data, bytes) else data())


def _outside(name: str) -> Damage:
    def apply(model: Path, rng: Rng) -> None:
        (model / name).unlink()
        (model / name).symlink_to(Path("../one") / name)

    return apply


def _renamed(name: bytes, then: Damage = lambda model, rng: None) -> Damage:
    def apply(model: Path, rng: Rng) -> None:
        then(model, rng)
        model.rename(os.fsdecode(bytes(model.parent) + b"/" + name))

    return apply


def _mess(value: Any) -> bytes:
    return serialization.msgpack_serialize(value)


def _array(*fields: Any) -> bytes:
    """A checkpoint whose only array says what one likes of shape, type and bytes."""
    packed: Any = msgpack.packb  # typed as if it could give nothing
    return packed({"a": msgpack.ExtType(1, packed([*fields, b""][:3]))})


_DENSE = {"params/dense/kernel": {"dtype": "F32", "shape": [12, 8], "data_offsets": [0, 384]}}
_TYPES = {"null": None, "true": True, "number": 1.5, "text": "\x1b[31mx", "list": [[], {}, None], "object": {"a": {}}}
_MSGPACK = {
    "nested": b"\x91" * DEEP, "nested-maps": b"\x81\xa1a" * 900 + b"\xc0", "long-array": b"\xdd\xff\xff\xff\xff",
    "long-map": b"\xdf\xff\xff\xff\xff", "long-bytes": b"\xc6\xff\xff\xff\xff", "number": b"\x05", "list": b"\x91\x05",
    "text-leaves": _mess({"params": {"conv1": {"kernel": "x"}}}), "number-keys": b"\x81\x05\x05",
    "null-leaf": b"\x81\xa6params\xc0", "map-key": b"\x81\x81\x01\x01\x01", "bytes-key": b"\x81\xc4\x01a\x05",
    "ext-unknown": b"\x81\xa1a\xc7\x01\x7f\x00", "ext-array": b"\x81\xa1a\xc7\x04\x01\x93\xc0\xc0\xc0",
    "array-shape": _array([2**40, 2**20], "float32"), "array-object": _array([1], "object", bytes(8)),
    "array-dtype": _array([1], "\x1b[31m\n"), "array-text": _array([1], "<U2000000000"),
    "trailing": _mess({"params": {}}) + b"x",
    "array-name": b"\x81\xa8\x1b[31mx\ny\x05", "chunked": b"\x81\xa1a\x81\xb9__msgpack_chunked_array__\xc3",
}  # fmt: skip
KINDS: dict[str, tuple[Damage, str]] = {
    **{f"{file.split('.')[1] if file != 'model.json' else 'description'}-is-{kind}":
       (lambda model, rng, f=file, k=kind: replace(model / f, k), "refused")
       for file in ("model.json", *(f"weights.{f}" for f in FORMATS)) for kind in SPECIAL},
    "description-outside": (_outside("model.json"), "refused"),
    "weights-outside": (_outside("weights.safetensors"), "refused"),
    "description-missing": (lambda model, rng: (model / "model.json").unlink(), "refused"),
    "weights-missing": (lambda model, rng: (model / "weights.safetensors").unlink(), "refused"),
    "model-is-outside": (lambda model, rng: _link(model, Path("/usr")), "refused"),
    "model-is-loop": (lambda model, rng: _link(model, Path("damaged")), "either"),
    **{f"{suffix}-{name}": (_bytes(f"weights.{suffix}", damage), expected)
       for suffix in ("safetensors", "msgpack") for name, (damage, expected) in BYTES.items()},
    **{f"description-{name}": (_bytes("model.json", damage), expected) for name, (damage, expected) in BYTES.items()},
    **{f"orbax-{name}": (_orbax(damage), "either") for name, (damage, _) in BYTES.items()},
    "orbax-files-missing": (_orbax(None), "either"),
    **{f"orbax-holds-{kind}": (_inside_orbax(kind), "either")
       for kind in ("fifo", "socket", "device", "folder", "loop")},
    **{f"msgpack-{name}": (_write("weights.msgpack", data), "refused") for name, data in _MSGPACK.items()},
    **{f"safetensors-{name}": (_write("weights.safetensors", data), "refused") for name, data in {
        "header-length": safetensors_with({}, length=1 << 62), "header-100mb": lambda: safetensors_with(b" " * 10**8),
        "header-nested": safetensors_with(b"[" * DEEP), "none": safetensors_with({}), "only-dense": safetensors_with(
            _DENSE, bytes(384)), "dtype": safetensors_with({"a": {**_DENSE["params/dense/kernel"], "dtype": "F8_E4M3"}},
            bytes(384)),
        "name-escape": safetensors_with({"\x1b[31m\n" * 20: _DENSE["params/dense/kernel"]}, bytes(384)),
        "empty-name": safetensors_with({"": _DENSE["params/dense/kernel"]}, bytes(384)),
        "many-names": lambda: safetensors_with({f"{i:09}" * 9: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
                                                for i in range(20_000)})}.items()},
    **{f"{key}-is-{name}": (_json(**{key: value}), "refused") for key in
       ("architecture", "config", "input_shape", "weights", "preprocessing", "tags", "license", "source")
       for name, value in _TYPES.items()
       if not (name == "text" and key in ("license", "source")) and (key, name) != ("tags", "object")},
    **{f"description-{name}": (_write("model.json", data), "refused") for name, data in {
        "nested": b"[" * DEEP, "list": b"[]", "number": b"1", "infinity": b"Infinity", "digits": b"9" * 5000,
        "2mb": b" " * (1 << 21), "nul": b"\0" * 100,
        "keys": json.dumps({f"\x1b{i}\n": 0 for i in range(50_000)}).encode(),
        "utf-16": '{"config": {}}'.encode("utf-16"), "surrogate-key": b'{"\\ud800": 1}'}.items()},
    "description-bom": (_bytes("model.json", lambda data, rng: b"\xef\xbb\xbf" + data), "either"),
    "description-twice": (
        _bytes("model.json", lambda data, rng: data.rstrip()[:-1] + b', "weights": "../one/weights.safetensors"}'),
        "refused"),
    **{f"input_shape-{name}": (_json(input_shape=value), "refused") for name, value in {
        "1e9": [10**9, 10**9, 1], "1e5": [100_000, 100_000, 1], "1e30": [10**30, 8, 1],
        "negative": [-8, 8, 1], "zero": [0, 8, 1], "true": [True, 8, 1], "float": [8.0, 8, 1], "empty": [], "one": [8],
        "two": [8, 8], "four": [8, 8, 1, 1], "many": [1] * 5000, "channels": [8, 8, 7]}.items()},
    "input_shape-digits": (_json(input_shape=b"[" + b"9" * 4000 + b", 8, 1]"), "refused"),
    "input_shape-infinity": (_json(input_shape=b"[1e400, 8, 1]"), "refused"),
    **{f"input_shape-that-fits-2e{n}": (_pooled(n), expected) for n, expected in (
        (2, "ranked"), (8, "ranked"), (14, "refused"), (20, "refused"))},
    **{f"config-{name}": (_json(config=value if isinstance(value, bytes) else CONFIG | value), "refused")
       for name, value in {
        "dense-1e12": {"dense_features": 10**12}, "dense-1e30": {"dense_features": 10**30}, "dense-0": {
            "dense_features": 0}, "dense-negative": {"dense_features": -8},
        "dense-text": {"dense_features": "\x1b[31m"},
        "dense-null": {"dense_features": None}, "dense-float": {"dense_features": 8.5}, "classes-1e12": {
            "classes": 10**12}, "conv-deep": {"conv_features": [1] * 20_000}, "conv-1e12": {"conv_features": [10**12]},
        "conv-text": {"conv_features": "ab"}, "conv-null": {"conv_features": None}, "conv-nested": {
            "conv_features": [[2], [3]]}, "unknown": {"\x1b[31mx\n": 1}, "convolve": {"convolve": "os.system"},
        "parent": {"parent": "x"}, "dense-infinity": b'{"dense_features": 1e400}',
        "deep-500": b'{"classes":' * 500 + b"1" + b"}" * 500, "deep-900": b'{"classes":' * 900 + b"1" + b"}" * 900,
        "deep-970": b'{"classes":' * 970 + b"1" + b"}" * 970, "long": {"x" * 900_000: 1}}.items()},
    "config-dropout-nan": (_json(config=json.dumps(CONFIG | {"dropout": np.nan}).encode()), "either"),
    "config-name": (_json(config=CONFIG | {"name": "\x1b[31m/x"}), "either"),
    **{f"preprocessing-{name}": (_json(preprocessing=value), "refused") for name, value in {
        "1e400": b'{"mean": [1e400]}', "int-1e400": {"mean": [10**400]}, "nan": b'{"std": [NaN]}', "zero": {"std": [0]},
        "negative": {"std": [-1]}, "empty": {"mean": []}, "two": {"mean": [0, 0]}, "many": {"mean": [0] * 100_000},
        "text": {"mean": "0"}, "true": {"mean": [True]}, "key": {"\x1b[31m\n": [0]}, "1e308": {"mean": [1e308]},
        "tiny": {"std": [1e-320]}}.items()},
    **{f"weights-path-{name}": (_json(weights=value), "refused") for name, value in {
        "parent": "../one/weights.safetensors", "absolute": "/etc/passwd", "device": "/dev/zero", "nul": "a\0b",
        "empty": "", "dot": ".", "long": "x" * 100_000, "escape": "\x1b[31m\n", "surrogate": "\ud800",
        "deep": "a/" * 9000,
        "json": "model.json", "newline": "weights\nTraceback (most recent call last):", "odd": "weights.\x07"}.items()},
    **{f"text-{name}": (_json(**value), "refused" if "architecture" in value else "ranked") for name, value in {
        "tags-escape": {"tags": {"\x1b[31m\n": "\x1b]0;x\x07\r\n\u202e"}}, "tags-surrogate": {"tags": {"a": "\ud800"}},
        "license-escape": {"license": "\x1b[2J\n\n\u2028"}, "license-surrogate": {"license": "\udcff"},
        "tags-numbers": {"tags": b'{"a": NaN, "b": 1e400, "model": -0, "problem": 1}'},
        "tags-digits": {"tags": b'{"a": ' + b"9" * 4200 + b"}"}, 
        "tags-nested": {"tags": b'{"a":' * 400 + b"1" + b"}" * 400},
        "architecture-escape": {"architecture": "\x1b[31m\nx"}, "architecture-surrogate": {"architecture": "\ud800"},
        "architecture-long": {"architecture": "x" * 900_000}, "architecture-path": {"architecture": "os.system"},
        "markup": {"license": "[red]x[/red][/]", "tags": {"[bold]": "[/]"}}}.items()},
    **{f"values-{name}": (_fill(value), expected) for name, value, expected in (
        ("nan", np.nan, "refused"), ("inf", np.inf, "refused"), ("1e37", 1e37, "either"), ("3e38", 3e38, "either"))},
    "arrays-missing": (_arrays(lambda params: params.pop("logits")), "refused"),
    "arrays-extra": (_arrays(lambda params: params.update(x={"kernel": np.zeros(3)})), "refused"),
    "arrays-shape": (_arrays(lambda params: params["dense"].update(kernel=np.zeros((8, 12), "f4"))), "refused"),
    "arrays-integers": (_arrays(lambda params: params["dense"].update(kernel=np.zeros((12, 8), int))), "refused"),
    "arrays-double": (_arrays(lambda params: params["dense"].update(kernel=np.full((12, 8), 1e300))), "refused"),
    **{f"name-{name}": (_renamed(data), "either") for name, data in {
        "escape": b"\x1b[31md\x07", "newline": b"d\ne", "bytes": b"d\xff", "markup": b"[red]$x_{", "formula": b"=1+1|x",
        "bidi": "\u202ed\u2028".encode(), "long": b"x" * 250, "blank": b" "}.items()},
    **{f"name-{name}-broken": (_renamed(data, _write("model.json", b"{")), "refused") for name, data in {
        "escape": b"\x1b[31md\x07", "newline": b"d\ne", "bytes": b"d\xff", "markup": b"[red]$x_{"}.items()},
}  # fmt: skip


def _link(model: Path, to: Path) -> None:
    replace(model, "loop")
    model.unlink()
    model.symlink_to(to)


def build(kind: str, rng: Rng, folder: Path) -> Case:
    """The case of a kind of damage."""
    zoo, (damage, expected) = folder / "zoo", KINDS[kind]
    for seed, name in enumerate(SOUND):
        save(zoo, name, seed)
    suffix = next((s for s in FORMATS if kind.startswith(s)), "safetensors")
    damage(save(zoo, "damaged", 2, weights=f"weights.{suffix}"), rng)
    return Case(["rank", zoo, "--data", target(folder / "target.npz")], SOUND, expected, listing=["zoo", zoo])
