"""What `torch.compile` is worth on this machine: forward passes of networks of timm, compiled and not, in turns.

    pip install '.[timm]' --group bench
    python -m benchmarks.sources.compiled

Random weights, batches of 32 images of 224 x 224; medians of five rounds. Prints a table.
"""

# pyright: reportMissingImports=false

import statistics
import time
from collections.abc import Callable

import timm
import torch

from benchmarks.paper.markdown import markdown

NETWORKS = ("resnet18", "efficientnet_b0", "mobilenetv3_small_100", "vit_tiny_patch16_224")
BATCH, SIDE, ROUNDS = 32, 224, 5


def main() -> None:
    """Measures and prints."""
    columns = ["", "compiling, s", "ms a sample", "ms a sample, compiled", "pays from samples"]
    print(markdown(columns, [_row(name) for name in NETWORKS]))


def _row(name: str) -> list[str]:
    network, batch = timm.create_model(name, pretrained=False).eval(), torch.randn(BATCH, 3, SIDE, SIDE)
    compiled = torch.compile(network)
    with torch.inference_mode():
        network(batch)
        compiling = _seconds(compiled, batch)
        rounds = [(_seconds(network, batch), _seconds(compiled, batch)) for _ in range(ROUNDS)]
    plain_s, compiled_s = (statistics.median(times) / BATCH for times in zip(*rounds, strict=True))
    pays = f"{compiling / (plain_s - compiled_s):,.0f}" if compiled_s < 0.95 * plain_s else "never"
    return [name, f"{compiling:.0f}", f"{1e3 * plain_s:.1f}", f"{1e3 * compiled_s:.1f}", pays]


def _seconds(network: Callable[[torch.Tensor], object], batch: torch.Tensor) -> float:
    start = time.perf_counter()
    network(batch)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
