"""The tables that people read, from what was measured."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.accelerator.plots import draw

Row = Mapping[str, Any]
Columns = Mapping[str, Callable[[Row], Any]]


def write(doc: Mapping[str, Any], path: Path) -> None:
    """Markdown of every part that is there, and pictures beside it."""
    device = next(iter(doc.values()))["device"]
    read = _bandwidth(doc)
    pictures = draw(doc, path, read)
    lines = [
        f"# {device}", "",
        "By `python -m benchmarks.accelerator`. Medians of calls that are waited for; the first call, which compiles, "
        "is apart. *Reads* are times over that of one read of the features, measured in the same run"
        + (f" ({read / 1e9:,.0f} GB/s)." if read else "."), "",
    ]  # fmt: skip
    for part, (title, columns) in TABLES.items():
        if part not in doc:
            continue
        made = doc[part]
        by = f"`{made['command']}`, {made['commit']}, jax {made['jax']}, {made['seconds']} s."
        by += "" if made["whole"] else " The run was cut off: there are more figures than these."
        lines += [f"## {title}", "", by, ""]
        shown = {name: of for name, of in columns.items() if any(_cell(of, row, read) for row in made["rows"])}
        lines += ["| " + " | ".join(shown) + " |", "|" + "---|" * len(shown)]
        lines += ["| " + " | ".join(_cell(of, row, read) for of in shown.values()) + " |" for row in made["rows"]]
        lines += ["", f"![{title}]({pictures[part]})"] if part in pictures else []
        lines += [""]
    path.write_text("\n".join(lines), encoding="utf-8")


def _bandwidth(doc: Mapping[str, Any]) -> float:
    rows = doc.get("machine", {}).get("rows", ())
    return next((r["bytes"] / r["median_s"] for r in rows if r["what"] == "read" and "median_s" in r), 0.0)


def _cell(of: Callable[[Row], Any], row: Row, read: float) -> str:
    value = of({**row, "read": read})
    return "" if value is None else str(value)


def _time(key: str) -> Callable[[Row], str | None]:
    def of(row: Row) -> str | None:
        seconds = row.get(key)
        if seconds is None:
            return row.get("error") if key == "median_s" else None
        return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"

    return of


def _reads(row: Row) -> str | None:
    if not row["read"] or "median_s" not in row or "bytes" not in row:
        return None
    return f"{row['median_s'] * row['read'] / row['bytes']:.1f}"


def _rate(row: Row) -> str | None:
    if "median_s" not in row:
        return None
    if "operations" in row:
        return f"{row['operations'] / row['median_s'] / 1e12:,.3g} Tflop/s"
    return f"{row['bytes'] / row['median_s'] / 1e9:,.0f} GB/s" if row["what"] in ("read", "copy") else None


def _number(key: str, form: str = "") -> Callable[[Row], str | None]:
    return lambda row: None if row.get(key) is None else format(row[key], form)


def _a_second(key: str) -> Callable[[Row], str | None]:
    return lambda row: f"{row[key] / row['median_s']:,.0f}" if "median_s" in row and key in row else None


def _gigabytes(key: str) -> Callable[[Row], str | None]:
    return lambda row: f"{row[key] / 2**30:.2f} GiB" if row.get(key) else None


_MEDIAN, _FIRST = _time("median_s"), _time("first_s")
TABLES: Mapping[str, tuple[str, Columns]] = {
    "machine": ("The machine", {
        "what": _number("what"), "precision": _number("precision"), "width": _number("width"),
        "models": _number("models"), "time": _MEDIAN, "reads": _reads, "rate": _rate,
        "apart from float32": _number("apart", ".0e"), "first": _FIRST,
    }),
    "solvers": ("Scores of 10,000 x 1,024", {
        "solver": _number("solver"), "within": _number("tolerance", "g"), "spectrum": _number("spectrum"),
        "models": _number("models"), "time": _MEDIAN, "reads": _reads, "certified": _number("certified"),
        "first": _FIRST,
    }),
    "where": ("Where the time goes: a profile of a batch to 1e-6", {
        "models": _number("models"), "what": lambda row: f"`{row['what'][:80]}`", "time": _time("time_s"),
        "times": _number("count", ".4g"), "each": _time("each_s"), "": _number("error"),
    }),
    "agreement": ("Beside float64, features of trained networks", {
        "features": _number("features"), "shape": lambda row: " x ".join(map(str, row["shape"])),
        "solver": _number("solver"), "error": _number("error", ".0e"), "time": _MEDIAN,
    }),
    "beside": ("What users would pick instead, 10,000 x 1,024", {
        "who": _number("who"), "models": _number("models"), "a model": _time("each_s"),
        "off": _number("off", ".0e"), "why not": _number("error"), "first": _FIRST,
    }),
    "rankings": ("`rank_batch` and streams", {
        "what": _number("what"), "models": _number("models"), "time": _MEDIAN, "reads": _reads, "first": _FIRST,
    }),
    "silhouettes": ("Silhouettes of 10 components", {
        "samples": _number("samples", ","), "classes": _number("classes", ","), "distance": _number("distance"),
        "time": _MEDIAN, "first": _FIRST,
    }),
    "forward": ("Forward passes", {
        "network": _number("network"), "precision": _number("precision"), "images": _number("images", ","),
        "a second": _a_second("images"), "time": _MEDIAN, "score apart from float32": _number("apart", ".0e"),
        "shares memory": _number("shared"), "first": _FIRST,
    }),
    "sweeps": ("Sweeps", {
        "what": _number("what"), "models": _number("models"), "seconds": _number("seconds"),
        "models a second": _number("models_a_second"), "busy": _number("busy", ".0%"),
        "overhead, ms a model": _number("overhead_ms"), "median ms": _number("median_ms"),
    }),
    "memory": ("Memory, 64 models of 10,000 x 1,024", {
        "what": _number("what"), "at once": _number("fit"), "scored": _number("scored"),
        "predicted": _gigabytes("predicted"), "peak": _gigabytes("peak"),
        "peak while compiling": _gigabytes("compiling"), "limit": _gigabytes("limit"),
        "features": _gigabytes("bytes"),
        "scores apart": _number("spread", ".0e"), "told": _number("warned"), "failed": _number("error"),
    }),
    "others": ("The other scores, 2,000 x 512", {
        "score": _number("score"), "models": _number("models"), "time": _MEDIAN, "first": _FIRST,
    }),
}  # fmt: skip
