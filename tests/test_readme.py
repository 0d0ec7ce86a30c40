"""The README's Python blocks run, and print what it says they print."""

import re
from pathlib import Path

import matplotlib
import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n```\n(.*?)```)?", README, re.DOTALL)
NUMBER = re.compile(r"-?\d\.\d{2,4}")


def test_python_blocks(capsys):
    matplotlib.use("Agg")
    assert len(BLOCKS) >= 3
    names = {}
    for code, output in BLOCKS:
        exec(compile(code, "README.md", "exec"), names)
        printed = capsys.readouterr().out
        if output:  # other CPUs round the last digit otherwise
            assert NUMBER.sub("#", printed).split() == NUMBER.sub("#", output).split()
            shown, said = (list(map(float, NUMBER.findall(text))) for text in (printed, output))
            assert shown == pytest.approx(said, abs=2e-3)


def test_shell_blocks_name_commands_that_are_there():
    from nrjax.cli import main

    shell = "".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    commands = set(re.findall(r"^(?:pip install \. && )?nrjax ([a-z-]+)", shell, re.MULTILINE))
    assert commands == {"rank", "rank-features", "zoo", "layers", "sweep", "results"}
    assert commands <= set(main.commands)
