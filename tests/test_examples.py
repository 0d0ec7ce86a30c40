"""The examples run, and print what stands beside them. `python -m tests.test_examples` writes that anew."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
NUMBER = re.compile(r"-?\d+\.\d+")


def printed(path):
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_prints_what_it_printed(path):
    """Of numbers that hang on training, on another CPU, no more than the first two digits."""
    told, kept = printed(path), path.with_suffix(".txt").read_text(encoding="utf-8")
    assert NUMBER.sub("#", told).split() == NUMBER.sub("#", kept).split()
    assert [float(x) for x in NUMBER.findall(told)] == pytest.approx(
        [float(x) for x in NUMBER.findall(kept)], abs=0.02, rel=0.02
    )


if __name__ == "__main__":
    for example in EXAMPLES:
        example.with_suffix(".txt").write_text(printed(example), encoding="utf-8")
