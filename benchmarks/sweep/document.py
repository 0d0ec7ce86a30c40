"""The page that readers see."""

from collections.abc import Mapping
from typing import Any


def readme(doc: Mapping[str, Any]) -> str:
    """Markdown of everything that was measured."""
    needed = doc.get("needed", {})
    parts = {
        "throughput": _throughput, "race": lambda found: _race(found, needed), "faults": _faults,
        "simulation": _simulation,
    }  # fmt: skip
    text = ["# Sweeps", ""]
    for part, write in parts.items():
        if part in doc:
            text += [*write(doc[part]), "", _made(doc["made_with"][part])]
            text += [_made(doc["made_with"]["needed"]), ""] if part == "race" and needed else [""]
    return "\n".join(text)


def _made(made: Mapping[str, Any]) -> str:
    return f"Made by `{made['command']}` at commit {made['commit']} in {made['seconds']:,} s on {made['device']}."


def _table(columns: list[str], rows: list[list[Any]]) -> list[str]:
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
    return lines + [f"| {' | '.join(map(str, row))} |" for row in rows]


def _throughput(found: Mapping[str, Any]) -> list[str]:
    first, again, added = found["first"], found["again"], found["added"]
    median = first["median_ms"]
    rows = [
        ["seconds, from the command line to its end", f"{first['seconds']:.0f}"],
        ["models a second, between the first result and the last", first["models_a_second"]],
        ["share of that time in forward passes and scores", f"{100 * first['busy']:.0f} %"],
        ["overhead a model, beyond waiting for its weights, forward pass and scores", f"{first['overhead_ms']} ms"],
        [
            "medians: waiting for weights, forward pass, scores",
            f"{median['load']}, {median['forward']}, {median['score']} ms",
        ],
        ["most memory, driver and worker", f"{first['peak_bytes'] / 1e9:.2f} GB"],
        ["the store", f"{first['store_bytes'] / 1e6:.1f} MB"],
        ["the same command again", f"{again['seconds']:.1f} s"],
        [f"with {found['more']} candidates more", f"{added['seconds']:.1f} s"],
    ]
    return [
        "## A thousand candidates", "",
        f"{found['models']:,} networks of the bundled kind (twelve architectures, and the nine bundled models) on the "
        "1,000 bundled images, silhouette and probe, one local worker.", "", *_table(["", ""], rows),
    ]  # fmt: skip


def _race(found: Mapping[str, Any], needed: Mapping[str, Any]) -> list[str]:
    tops = [key for key in next(iter(found["targets"].values())) if key.isdigit()]
    lines = []
    for top in tops:
        rows = [
            [target, f"{told['samples']:,}", told["gaps"][top], f"{told[top]['same']} of {found['draws']}",
             f"{told[top]['known']:.1f}", f"{told[top]['fewer']:.1f}",
             f"{needed[target][top]:,}" if top in needed.get(target, {}) else "", told.get("commit", "")]
            for target, told in found["targets"].items()
        ]  # fmt: skip
        columns = ["target", "images", f"gap after {top}", f"top {top}: same", "fewer until known", "in all"]
        columns += ["images needed", "at"]
        same = sum(told[top]["same"] for told in found["targets"].values())
        draws = found["draws"] * len(found["targets"])
        lines += [*_table(columns, rows), "", f"The same {top} in {same} of {draws} draws.", ""]
    return [
        "## A race", "",
        f"The paper's {found['networks']} networks by silhouette on its nine targets (all test images of the classes), "
        f"{found['draws']} orders of the images each. Same: draws in which the first ones were those of a ranking of "
        "all networks on all images. Passes fewer: forward passes of all networks on all images, divided by those of "
        "the race (mean over draws), until it is known which come first; and in all, with the first ones scored on all "
        "images, which alone is a share of theirs among the networks. Gap: between the scores of the last that is "
        "wanted and the next. Images needed: until the race's own rule tells these two apart, by what all images say "
        "of them; the other networks come on top of that.", "",
        *lines,
    ]  # fmt: skip


def _faults(found: Mapping[str, Any]) -> list[str]:
    rows = [
        [victim, told["kills"], told["sweeps"], told["damaged"], told["lost"], told["twice"], told["other_rankings"]]
        for victim, told in found.items()
    ]
    return [
        "## Deaths", "",
        "`kill -9` at random times, of sweeps of 120 candidates by one local worker; each is started again until it "
        "ends. Damaged: stores that `PRAGMA integrity_check` did not find whole, looked at after every kill. Lost: "
        "results that were there before and not after. Twice: results that were computed again. Other rankings: of "
        "sweeps that ended, beside that of a sweep without kills.", "",
        *_table(["killed", "times", "sweeps", "damaged", "lost", "twice", "other rankings"], rows),
    ]  # fmt: skip


def _simulation(found: Mapping[str, Any]) -> list[str]:
    rows = [[one["kind"], one["storage"], f"{one['hours']:,}", f"{100 * one['busy']:.0f} %", one["limit"]]
            for one in found["rows"]]  # fmt: skip
    return [
        "## 100,000 candidates on 64 devices, simulated", "",
        "From measured times: a device computes one candidate while the next one's weights are read; a result costs "
        f"the driver {found['driver_ms']} ms, to hear, to write and to say ({found['driver_sure_ms']} ms with the "
        "influences of 1,000 samples on two scores; more where a disk takes longer to be sure). Limit: what would take "
        "longest alone.", "",
        *_table(["candidates", "weights from", "hours", "devices busy", "limit"], rows),
    ]  # fmt: skip
