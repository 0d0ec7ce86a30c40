"""How far every score is off on features on which arithmetic fails.

    python -m benchmarks.hard [--kinds KIND ...] [--scores SCORE ...] [--shapes N] [--out DIR]

Ranks features of every kind of tests/scoring/hard.py in all its shapes by every score, through `nrjax.rank_batch`, and
compares with the definitions in float64 and wider of tests/scoring/references.py. A few minutes on 2 CPU cores.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console
from scipy import special

import nrjax
from benchmarks.command import commit, device, invocation, main_of, parser
from tests.scoring import hard, references

RESULTS = Path(__file__).parent / "results"
PROBABILITIES = ("leep", "nce")
SOURCE_CLASSES = 8
MOVED_TIMES = 10  # an error that rounding of the features may explain is no larger than so many moves of the reference


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    said = parser("benchmarks.hard", __doc__)
    scores = list(references.REFERENCES)
    said.add_argument(
        "--kinds", nargs="*", choices=hard.HARD, metavar="KIND", default=list(hard.HARD), help="Only these kinds."
    )
    said.add_argument("--scores", nargs="*", choices=scores, metavar="SCORE", default=scores, help="Only these scores.")
    said.add_argument("--shapes", type=int, default=len(hard.SHAPES), help="Only the first so many shapes of each.")
    said.add_argument("--out", type=Path, default=RESULTS, help="Where results go.")
    return said.parse_args(argv)


def run(options: argparse.Namespace) -> None:
    """Measures everything that is asked for and writes it."""
    start, made_at, console = time.perf_counter(), commit(), Console(stderr=True)
    found: dict[str, list[dict[str, Any]]] = {}
    for kind in options.kinds:
        found[kind] = [
            {"shape": shape, "scores": measure(kind, shape, options.scores)}
            for shape in hard.shapes_of(kind)[: options.shapes]
        ]
        jax.clear_caches()  # a process has 65,530 mappings of memory for compiled programs
        console.print(f"{kind} is done", highlight=False)
    doc = {
        "command": invocation("benchmarks.hard", options, arguments([])), "commit": made_at, "device": device(),
        "jax": jax.__version__, "seconds": round(time.perf_counter() - start), "kinds": found,
    }  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "README.md").write_text(readme(doc), encoding="utf-8")


def measure(kind: str, shape: tuple[int, int, int], scores: list[str]) -> dict[str, dict[str, Any]]:
    """Of every score: the value, the one that is right and the error beside what is allowed, or why there is none."""
    features, labels = hard.HARD[kind](*shape, 0)
    probabilities = probabilities_of(features)
    model, reason, undefined = None, "", {}
    try:
        ranking = nrjax.rank_batch({"m": features}, labels, scores=scores, probabilities={"m": probabilities})
        model, reason = ranking.models[0], ranking.models[0].reason or ""
        undefined = ranking.settings.get("undefined", {})
    except Exception as problem:  # one kind that breaks must not hide the others
        reason = f"{type(problem).__name__}: {str(problem).splitlines()[0] if str(problem) else ''}"
    values, said = (getattr(model, "scores", None) or {}), getattr(model, "uncertain", None) or {}
    missing: Mapping[str, str] = {**undefined, **(getattr(model, "missing", None) or {})}
    found = {}
    for name in scores:
        if name in said:
            found[name] = {"said": said[name]}
        elif name not in values:
            found[name] = {"none": missing.get(name, reason)}
        else:
            seen = probabilities if name in PROBABILITIES else features
            found[name] = compared(name, values[name], seen, labels)
    return found


def compared(name: str, got: float, features: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """A value beside the right one."""
    right = references.answer(name, features, labels)
    error = hard.error(name, got, right.value, right.also)
    allowed = hard.allowed(name, len(labels), right.undecided)
    entry = {"value": got, "right": right.value, "error": error, "allowed": allowed}
    if error <= allowed < (strict := hard.error(name, got, right.value)):
        entry["by_cut"] = strict
    if not error <= allowed:
        moved = references.moved(name, features, labels)
        entry["moved"] = hard.error(name, right.value + moved, right.value) if np.isfinite(right.value) else moved
    return {key: value if np.isfinite(value) else str(value) for key, value in entry.items()}


def probabilities_of(features: np.ndarray) -> np.ndarray:
    """Softmax of the first columns."""
    return special.softmax(np.asarray(features[:, :SOURCE_CLASSES], np.float64), axis=1).astype(np.float32)


def readme(doc: Mapping[str, Any]) -> str:
    """Everything that has been measured, in words and a table."""
    kinds = doc["kinds"]
    scores = list(next(iter(kinds.values()))[0]["scores"])
    rows = [[kind, *(_cell([entry["scores"][name] for entry in of_kind]) for name in scores)]
            for kind, of_kind in kinds.items()]  # fmt: skip
    every = {name: [entry["scores"][name] for of_kind in kinds.values() for entry in of_kind] for name in scores}
    rows.append(["**worst**", *(_three(_worst(every[name])) for name in scores)])
    rows.append(["**allowed**", *(_allowance(name) for name in scores)])
    rows.append(["**not within**", *(str(sum(map(_wrong, every[name]))) for name in scores)])
    lines = [
        "# Features on which arithmetic fails", "",
        "The largest error of `nrjax.rank_batch` over the shapes "
        f"{', '.join('×'.join(map(str, s)) for s in hard.SHAPES)} (samples × dims × classes), against the definitions",
        "in float64 and wider. Of `transrate` and `gbc` relative to the value, or to 0.001 and 0.0001 where it is",
        "smaller; of the others absolute. Of the accuracies 1.5 samples are allowed, or those that hang on a tie.", "",
        "- **bold**: more than is allowed.",
        "- `said`: the ranking says that the value cannot be certified (`ScoredModel.uncertain`); the number, where",
        "  there is one, is of the other shapes.",
        "- `~`: the error where the definition itself moves by more than is allowed when features are rounded anew (by",
        f"  half an eps of every entry) and the error is at most {MOVED_TIMES} such moves; not counted below.",
        "- `≈`: the distance from the reference where features hold little but rounding and a cut decides (top of",
        "  references.py); the value lies between what other cuts give, which counts as right and is no check of it.",
        "- Values that are `said` are not compared.",
        "- `none`: no value in any shape. `inf`: the right value is infinite, or the value is no number.", "",
        f"Made by `{doc['command']}` at commit {doc['commit']} in {doc['seconds']:,} s on {doc['device']}, "
        f"JAX {doc['jax']}.", "",
        _table(["", *scores], rows), "",
        *_reasons("Not said to be uncertain and not within what is allowed", kinds, _told_wrong),
        *_reasons("No value", kinds, lambda entry: entry.get("none")),
        *_reasons("Said to be uncertain", kinds, lambda entry: entry.get("said")),
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def _ill(entry: Mapping[str, Any]) -> bool:
    moved = float(entry.get("moved", 0))
    return moved > entry.get("allowed", 0) and float(entry["error"]) <= MOVED_TIMES * moved


def _wrong(entry: Mapping[str, Any]) -> bool:
    return "error" in entry and not float(entry["error"]) <= entry["allowed"] and not _ill(entry)


def _told_wrong(entry: Mapping[str, Any]) -> str | None:
    return f"{float(entry['value']):.6g}, right {float(entry['right']):.6g}" if _wrong(entry) else None


def _worst(entries: list[Mapping[str, Any]]) -> float | None:
    return max((float(e["error"]) for e in entries if "error" in e and not _ill(e)), default=None)


def _three(number: float | None) -> str:
    return "" if number is None else f"{number:.3g}"


def _cell(entries: list[Mapping[str, Any]]) -> str:
    worst, ill = _worst(entries), [float(e["error"]) for e in entries if _ill(e)]
    parts = [] if worst is None else [f"**{worst:.3g}**" if any(map(_wrong, entries)) else f"{worst:.3g}"]
    parts += [f"~{max(ill):.3g}"] if ill else []
    by_cut = [entry["by_cut"] for entry in entries if "by_cut" in entry]
    parts += [f"≈{max(by_cut):.3g}"] if by_cut else []
    parts += ["said"] if any("said" in entry for entry in entries) else []
    return " ".join(parts) or "none"


def _allowance(name: str) -> str:
    most, floor = hard.TOLERANCE[name]
    return "1.5/samples" if name in hard.ACCURACIES else f"{most:g}" + (" of it" if floor else "")


def _reasons(title: str, kinds: Mapping[str, Any], reason_of) -> list[str]:
    by_reason: dict[tuple[str, str], list[str]] = defaultdict(list)
    for kind, of_kind in kinds.items():
        for entry in of_kind:
            for name, one in entry["scores"].items():
                if reason := reason_of(one):
                    by_reason[name, reason].append(f"{kind} {'×'.join(map(str, entry['shape']))}")
    if not by_reason:
        return []
    rows = [[name, reason.replace("|", "\\|"), _some(where)] for (name, reason), where in by_reason.items()]
    return [f"## {title}", "", _table(["score", "what", "where"], sorted(rows)), ""]


def _some(where: list[str], most: int = 4) -> str:
    more = f" and {len(where) - most} more" if len(where) > most else ""
    return ", ".join(where[:most]) + more


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


main = main_of(arguments, run)

if __name__ == "__main__":
    sys.exit(main())
