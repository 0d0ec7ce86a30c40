"""What many devices would take, on paper: measured work of one device, sums that are counted, rates that are assumed.

    t(models, devices) = fixed + work / devices + sums * latency + 2 (devices - 1) / devices * bytes / bandwidth

`fixed` and `work` are the line through what one H100 took for 8, 64 and 256 models. Split over models, a device does
`models / devices` of them. Split over samples, it does a share of every model. What is fixed stays in both. Small
problems of all models are solved on every process, and the line counts them as work that divides. A ring sends each
byte twice.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

H100 = Path(__file__).parent / "results" / "nvidia-h100-80gb-hbm3.json"
SHAPE = (10_000, 1_024)


class Machine(NamedTuple):
    """One device, and what lies between it and the others.

    Attributes:
      name: of the device.
      fixed: seconds of a call, however few models.
      model: seconds a model of `SHAPE`.
      latency: seconds a sum.
      bandwidth: bytes a second that a device sends in a sum.
      devices: how many are asked about.
    """

    name: str
    fixed: float
    model: float
    latency: float
    bandwidth: float
    devices: tuple[int, ...]

    def seconds(self, models: float, devices: int, count: float, each: float) -> float:
        """Of models split over devices in either way; `count` sums, in all of `each` bytes a model."""
        sent = count * self.latency + 2 * (devices - 1) / devices * models * each / self.bandwidth
        return self.fixed + self.model * models / devices + sent * (devices > 1)


def machines() -> tuple[Machine, Machine]:
    """A GPU from its table, and a TPU from its published rates."""
    doc = _table()
    seconds = {
        row["models"]: row["median_s"] for row in doc["solvers"]["rows"]
        if (row["solver"], row["tolerance"], row["spectrum"]) == ("krylov", 1e-6, "trained") and row["models"] >= 8
    }  # fmt: skip
    model, fixed = np.polyfit(list(seconds), list(seconds.values()), 1)
    read = next(row for row in doc["machine"]["rows"] if row["what"] == "read")
    reads = model * read["bytes"] / read["median_s"] / (4 * SHAPE[0] * SHAPE[1])
    tpu = reads * 4 * SHAPE[0] * SHAPE[1] / 819e9
    return (
        Machine("H100", float(fixed), float(model), 20e-6, 350e9, (1, 2, 4, 8)),
        Machine("TPU v5e", float(fixed), float(tpu), 10e-6, 100e9, (1, 4, 16)),
    )


def _table() -> dict[str, Any]:
    return json.loads(H100.read_text(encoding="utf-8"))


def predicted(sums: Mapping[str, tuple[int, int]], models: int) -> list[str]:
    """Lines of Markdown.

    Args:
      sums: over devices, and their bytes, in one score of all models that are split over `models` or over `samples`.
      models: that were scored.
    """
    sent = {split: (sums[split][0], sums[split][1] / models) for split in ("models", "samples")}
    counted = ", ".join(
        f"{count} of {each / 2**10:,.0f} KiB a model over {split}" for split, (count, each) in sent.items()
    )
    gpu, tpu = machines()
    lines = [
        "## What follows for many, on paper", "",
        "Predicted, not measured.", *str(__doc__).splitlines()[1:], "",
        "- **64 models of 10,000 x 1,024 to 1e-6**, strong scaling; weak scaling has 64 models, or 10,000 samples of "
        "each of 64, on every device.",
        f"- **H100**: {1e3 * gpu.fixed:.1f} ms fixed and {1e3 * gpu.model:.3f} ms a model, from its table "
        f"({_table()['solvers']['commit']}); a sum over NVLink is assumed to wait {1e6 * gpu.latency:.0f} us, and to "
        f"send {gpu.bandwidth / 1e9:.0f} GB/s.",
        f"- **TPU v5e**: as many reads as the H100 takes, at the published 819 GB/s, {1e3 * tpu.model:.2f} ms a model "
        "(products at HIGHEST, 33 Tflop/s, take less than the reads); fixed as on the H100, which nobody has measured: "
        "small eigenproblems are slower there. A sum is assumed to wait 10 us, and to send 100 GB/s.",
        f"- **Sums**: {counted}, as counted above.", "",
        "| device | how many | split | strong: time | times one | weak: time | of one device's |", "|---" * 7 + "|",
    ]  # fmt: skip
    for machine in (gpu, tpu):
        alone = machine.seconds(64, 1, 0, 0)
        for devices in machine.devices:
            for split, each in sent.items():
                strong = machine.seconds(64, devices, *each)
                more = 64 * devices if split == "models" else 64
                weak = machine.seconds(more, devices, *each) + machine.model * (64 - more / devices)
                lines.append(
                    f"| {machine.name} | {devices} | {split} | {1e3 * strong:.1f} ms | {alone / strong:.1f} | "
                    f"{1e3 * weak:.1f} ms | {alone / weak:.2f} |"
                )
    return lines
