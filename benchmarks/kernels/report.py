"""From pytest-benchmark's JSON to what people read: a table, a roofline, log-log plots."""

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import nrjax

# Passes over the features that Krylov iteration makes on trained layers: four images, four products with them.
KRYLOV_READS = 8
OKABE_ITO = ("#0072B2", "#D55E00")


def write(measured: Path, out: Path, backend: str) -> None:
    """`BACKEND.json`, `BACKEND.md` and `BACKEND-*.png` in `out`."""
    raw = json.loads(measured.read_text(encoding="utf-8"))
    results = [_result(benchmark) for benchmark in raw["benchmarks"]]
    device = jax.devices()[0].device_kind
    made_with = {
        "nrjax": nrjax.__version__, "jax": jax.__version__, "device": device,
        "cores": raw["machine_info"]["cpu"]["count"],
        "cpu": raw["machine_info"]["cpu"].get("brand_raw", ""), "commit": raw["commit_info"].get("id", "")[:7],
        "datetime": raw["datetime"],
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{backend}.json").write_text(
        json.dumps({"made_with": made_with, "results": results}, indent=1) + "\n", encoding="utf-8"
    )
    (out / f"{backend}.md").write_text(markdown(results, made_with, backend), encoding="utf-8")
    for title, axis in SWEEPS.items():
        points = [r for r in results if r["group"] == title]
        if points:
            rival = [r for r in results if r["group"] == f"{title}, scikit-learn"]
            _draw(title, axis, points, rival, out / f"{backend}-{axis}.png")


SWEEPS = {
    "silhouette by samples (x 10, 100 classes)": "samples",
    "silhouette by classes (100,000 x 10)": "classes",
    "score by dims (5,000 samples)": "dims",
    "score by models (2,000 x 512)": "models",
}


def _result(benchmark: dict[str, Any]) -> dict[str, Any]:
    stats = benchmark["stats"]
    return {
        "name": benchmark["name"], "median_s": stats["median"], "iqr_s": stats["iqr"],
        "rounds": stats["rounds"], **benchmark["extra_info"],
    }  # fmt: skip


def markdown(results: list[dict[str, Any]], made_with: dict[str, Any], backend: str) -> str:
    """All that was measured, as Markdown."""
    lines = [
        f"# Kernels on {made_with['device']} ({made_with['cpu'] or backend}, {made_with['cores']} cores)",
        "",
        f"`python -m benchmarks.kernels`, nrjax {made_with['nrjax']} at {made_with['commit']}, jax {made_with['jax']}. "
        "Medians of interleaved rounds in one process; a ratio is a rival's median over ours. Errors are the largest "
        "difference of a score to components by LAPACK in float64 and scikit-learn's silhouette.",
        "",
    ]
    races = [r for r in results if r["group"] == "race"]
    if races:
        rivals = [who for who in ("scikit-learn", "scib-metrics") if any(who in r["rivals_s"] for r in races)]
        columns = ["race", "nrjax", "error", *(title for who in rivals for title in (who, "ratio", "error"))]
        lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        lines += [_race(r, rivals) for r in races]
        lines += [
            "",
            "Compile time is apart: " + "; ".join(f"{r['case']} {max(0.0, r['compile_s']):.1f} s" for r in races) + ".",
            "",
        ]
    lines += _roofline(results, races)
    lines += _elsewhere([r for r in results if r["group"] == "elsewhere"])
    for title, axis in SWEEPS.items():
        points = sorted((r for r in results if r["group"] == title), key=lambda r: r["size"])
        if points:
            lines += [
                f"## {title[0].upper()}{title[1:]}",
                "",
                f"| {axis} | nrjax | beyond the input |",
                "|---|---|---|",
            ]
            lines += [
                f"| {p['size']:,} | {_time(p['median_s'])} | {_bytes(p.get('temporary_bytes'))} |" for p in points
            ]
            lines += ["", *_slope(points, axis), f"![{title}]({backend}-{axis}.png)", ""]
    for r in (r for r in results if r["group"] == "extraction"):
        rates = r["images_per_s"]
        lines += ["## Forward passes", "", "The paper's CNN, 10,000 images of 28 x 28.", ""]
        lines += ["| | images a second | nrjax over it |", "|---|---|---|"]
        lines += [f"| {who} | {rate:,.0f} | {rates['nrjax'] / rate:.2f} |" for who, rate in rates.items()]
        by_size = sorted((b for b in results if b["group"] == "batch size"), key=lambda b: b["size"])
        listed = ", ".join(f"{b['size']}: {b['images_per_s']:,.0f}" for b in by_size)
        lines += ["", f"By batch size: {listed}." if by_size else "", ""]
    for stream in (r for r in results if r["group"] == "stream"):
        once, whole = stream["streamed"], stream["whole"]
        lines += [
            f"## A stream, {stream['case']}, from a file", "",
            "| | score | time | peak memory of the process |", "|---|---|---|---|",
            f"| `score_stream` | {once['score']:.7f} | {once['seconds']} s | {once['peak_mib']} MiB |",
            f"| `rank_batch` in memory | {whole['score']:.7f} | {whole['seconds']} s | {whole['peak_mib']} MiB |", "",
        ]  # fmt: skip
    return "\n".join(lines)


def _race(r: dict[str, Any], rivals: Sequence[str]) -> str:
    cells = [r["case"], _time(r["median_s"]), f"{r['errors']['nrjax']:.0e}"]
    for who in rivals:
        there = who in r["rivals_s"]
        cells += (
            [_time(r["rivals_s"][who]), f"**{r['ratios'][who]:g}**", f"{r['errors'][who]:.0e}"] if there else [""] * 3
        )
    return "| " + " | ".join(cells) + " |"


def _elsewhere(rows: list[dict[str, Any]]) -> list[str]:
    """The race on features that no kernel was tuned on."""
    if not rows:
        return []
    lines = [
        "## Features that no kernel was tuned on", "",
        "Of `python -m benchmarks.kernels.elsewhere`, the bundled zoo, and synthetic spectra; scikit-learn is "
        "`PCA(10)` with its defaults and `silhouette_score`. Each is called once before it is timed. Ratios are "
        "scikit-learn's time over ours.", "",
        "| features | to 1e-5 | ratio | error | to 1e-6 | ratio | error | scikit-learn | its error | solver |",
        "|---" * 10 + "|",
    ]  # fmt: skip
    exact, coarse = [], []
    for r in rows:
        theirs, quick, errors = r["rivals_s"]["scikit-learn"], r["rivals_s"]["nrjax to 1e-6"], r["errors"]
        exact.append(theirs / r["median_s"])
        coarse.append(theirs / quick)
        lines.append(
            f"| {r['case']} | {_time(r['median_s'])} | **{exact[-1]:.1f}** | {errors['nrjax']:.0e} | {_time(quick)} | "
            f"**{coarse[-1]:.1f}** | {errors['nrjax to 1e-6']:.0e} | {_time(theirs)} | {errors['scikit-learn']:.0e} | "
            f"{r['solver']} |"
        )
    said = "; ".join(
        f"{what}: median {statistics.median(ratios):.1f}, least {min(ratios):.1f}"
        for what, ratios in (("to 1e-5", exact), ("to 1e-6", coarse))
    )
    return [*lines, "", f"Ratios {said}.", ""]


def _roofline(results: list[dict[str, Any]], races: list[dict[str, Any]]) -> list[str]:
    speed = {r["case"]: r["bytes_per_s"] for r in results if r["group"] == "machine"}
    measured = [r for r in races if "bytes_read_once" in r]
    if not speed or not measured:
        return []
    lines = [
        "## Beside the machine", "",
        f"It reads {speed['read'] / 1e9:.1f} GB/s and copies {speed['copy'] / 1e9:.1f} GB/s (bytes read and written). "
        f"A Krylov iteration on a trained layer reads the features {KRYLOV_READS} times.", "",
        "| race | one read | its reads | nrjax | over its reads |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for r in measured:
        once = r["bytes_read_once"] / speed["read"]
        reads = KRYLOV_READS * once
        lines.append(
            f"| {r['case']} | {_time(once)} | {_time(reads)} | {_time(r['median_s'])} | {r['median_s'] / reads:.1f} |"
        )
    return [*lines, ""]


def _slope(points: list[dict[str, Any]], axis: str) -> list[str]:
    """How time grows where it is no longer the cost of a call: log-log slope from 10,000 on."""
    far = [p for p in points if p["size"] >= 10_000]
    if axis != "samples" or len(far) < 2:
        return []
    first, last = far[0], far[-1]
    slope = math.log(last["median_s"] / first["median_s"]) / math.log(last["size"] / first["size"])
    return [f"Log-log slope from {first['size']:,} to {last['size']:,}: {slope:.2f}.", ""]


def _draw(title: str, axis: str, points: list[dict[str, Any]], rival: list[dict[str, Any]], path: Path) -> None:
    figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
    for who, those, colour, marker in (
        ("nrjax", points, OKABE_ITO[0], "o"),
        ("scikit-learn", rival, OKABE_ITO[1], "s"),
    ):
        if those:
            those = sorted(those, key=lambda r: r["size"])
            ax.loglog(
                [r["size"] for r in those], [r["median_s"] for r in those], marker=marker, color=colour, label=who
            )  # fmt: skip
    ax.set(title=title, xlabel=axis, ylabel="seconds (median)")
    ax.grid(visible=True, which="major", alpha=0.3)
    if rival:
        ax.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def _bytes(count: int | None) -> str:
    return "" if count is None else f"{count / (1 << 20):,.1f} MiB"
