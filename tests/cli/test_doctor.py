"""`nrjax doctor` and `nrjax completion`."""

import importlib.metadata
import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

import nrjax
from nrjax import models
from nrjax.cli import main


def rows(*arguments):
    done = CliRunner().invoke(main, ["doctor", "--format", "json", *arguments])
    return done.exit_code, {row["what"]: row for row in json.loads(done.stdout)}


def test_doctor_says_what_is_here_and_how_to_get_the_rest(monkeypatch, tmp_path):
    real = importlib.metadata.version

    def version(name):
        if name == "torch":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    (tmp_path / "digits" / "1.0.0").mkdir(parents=True)
    (tmp_path / "digits" / "1.0.0" / "dataset_info.json").write_text("{}")
    (tmp_path / "half" / "1.0.0.incomplete").mkdir(parents=True)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    code, found = rows()
    assert code == 0
    assert found["nrjax"]["state"] == nrjax.__version__
    assert found["devices"]["state"] == "cpu"
    assert found["torch"] == {"what": "torch", "state": "not installed", "remark": "pip install 'nrjax[torch]'"}
    assert "digits" in found["data sets of TFDS"]["remark"]
    assert found["data sets of TFDS"]["state"] == "1 prepared"


def test_doctor_finds_what_does_not_work(monkeypatch):
    def broken(name, who):
        raise models.MissingFramework(f"{who} needs {name}, which does not import: no such operator")

    monkeypatch.setattr(models, "framework", broken)
    code, found = rows()
    assert code == 1
    assert found["tensorflow_datasets"]["state"] == "does not import"
    assert "no such operator" in found["tensorflow_datasets"]["remark"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(shell):
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert f"_NRJAX_COMPLETE={shell}_complete" in done.stdout


def test_commands_are_completed():
    asked = os.environ | {"_NRJAX_COMPLETE": "bash_complete", "COMP_WORDS": "nrjax ra", "COMP_CWORD": "1"}
    run = "import sys; sys.argv[0] = 'nrjax'; from nrjax.cli import main; main(prog_name='nrjax')"
    done = subprocess.run([sys.executable, "-c", run], env=asked, capture_output=True, text=True, check=False)
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == {"rank", "rank-features"}, done.stderr
