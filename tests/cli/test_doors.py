"""What cannot be written is refused before any work; consoles and file names of other systems are taken."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner

import nrjax
from nrjax._utils import paths as files
from nrjax.cli import main
from tests.oracles import blobs

FEATURES, LABELS = blobs(60, 6, 3)
WIDTHS = {"模型": 6, "naïve": 4, "m": 2}
PROBABILITIES = np.random.default_rng(0).dirichlet(np.ones(4), 60)


def run(*arguments, charset="utf-8"):
    return CliRunner(charset=charset).invoke(main, [str(a) for a in arguments])


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with features of three models, labels, and what is no place to write to."""
    monkeypatch.chdir(tmp_path)
    Path("features").mkdir()
    for name, width in WIDTHS.items():
        np.save(f"features/{name}.npy", FEATURES[:, :width])
    np.save("labels.npy", LABELS)
    for name in ("null.png", "null.html"):
        Path(name).symlink_to("/dev/null")
    Path("folder.png").mkdir()
    Path("old.png").write_bytes(b"old")
    Path("dangling.png").symlink_to("nowhere/x.png")
    Path("loop.png").symlink_to("loop.png")
    return tmp_path


@pytest.fixture
def no_work(monkeypatch):
    def work(*arguments, **options):
        raise NotImplementedError("the door was passed")

    for name in ("rank", "rank_batch", "load_zoo", "load_dataset"):
        monkeypatch.setattr(nrjax, name, work, raising=False)


COMMANDS = {"rank": ["rank"], "rank-features": ["rank-features", "features", "--labels", "labels.npy"]}
REFUSED = {
    "a picture of no kind": ("--plot", "x.xyz", 1, "x.xyz: the suffix must be one of "),
    "a picture without a suffix": ("--plot", "x", 1, "x: the suffix must be one of "),
    "a picture in no folder": ("--plot", "/missing/a/x.png", 1, "/missing/a/x.png: there is no folder /missing/a."),
    "a picture below a file": ("--plot", "labels.npy/x.png", 1, "labels.npy/x.png: there is no folder labels.npy."),
    "a picture into a device": ("--plot", "null.png", 1, "null.png is not a regular file (it is a device)."),
    "a picture over a link to nothing": ("--plot", "dangling.png", 1, "dangling.png is a link to nothing."),
    "a picture over a loop": ("--plot", "loop.png", 1, "loop.png is a link to itself."),
    "a picture in place of a folder": ("--plot", "folder.png", 2, "Invalid value for '--plot': File 'folder.png' is"),
    "a report as PDF": ("--report", "x.pdf", 1, "x.pdf: the suffix must be one of .htm, .html."),
    "a report in no folder": ("--report", "/missing/x.html", 1, "/missing/x.html: there is no folder /missing."),
    "a report into a device": ("--report", "null.html", 1, "null.html is not a regular file (it is a device)."),
}  # fmt: skip


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("case", REFUSED)
def test_refused_at_the_door(here, command, case):
    option, value, code, words = REFUSED[case]
    before = sorted(os.listdir())
    done = run(*COMMANDS[command], option, value)
    assert (done.exit_code, done.stdout) == (code, "")
    (said,) = (line for line in done.stderr.splitlines() if line.startswith("Error: "))
    assert said.startswith(f"Error: {words}")
    assert code == 2 or done.stderr.count("\n") == 1  # click's own errors show the usage first
    assert sorted(os.listdir()) == before


@pytest.mark.usefixtures("no_work")
def test_a_full_disk_is_refused_at_the_door(here, monkeypatch):
    def full(**options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.tempfile, "TemporaryFile", full)
    done = run("rank", "--report", "x.html")
    assert (done.exit_code, done.stderr) == (1, "Error: x.html cannot be written: No space left on device.\n")


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("value", ["x.png", "X.PDF", "old.png", "x.html", "X.HTM"])
def test_the_door_opens_and_leaves_no_trace(here, command, value):
    """Otherwise a door that is shut would pass; an old picture stays until there is a new one."""
    before = sorted(os.listdir())
    done = run(*COMMANDS[command], "--report" if "htm" in value.lower() else "--plot", value)
    assert isinstance(done.exception, NotImplementedError)
    assert sorted(os.listdir()) == before
    assert Path("old.png").read_bytes() == b"old"


CONSOLES = {  # how the names come out, what the rule is drawn with
    "utf-8": (["模型", "naïve", "m"], "─"),
    "cp1252": (["??", "naïve", "m"], "-"),
    "ascii": (["??", "na?ve", "m"], "-"),
    "cp932": (["模型", "na?ve", "m"], "-"),
}


@pytest.mark.parametrize("charset", CONSOLES)
def test_a_console_gets_what_it_can_show(here, charset):
    names, rule = CONSOLES[charset]
    kinds = [["--format", kind] for kind in ("table", "csv", "json")]
    table, rows, whole = (run(*COMMANDS["rank-features"], *kind, charset=charset) for kind in kinds)
    assert (table.exit_code, rows.exit_code, whole.exit_code) == (0, 0, 0)
    lines = table.stdout.splitlines()
    assert set(lines[1]) == {rule}
    assert sorted(line.split()[1] for line in lines[2:5]) == sorted(names)
    assert sorted(line.split(",")[0] for line in rows.stdout.splitlines()[1:]) == sorted(names)
    assert {model["name"] for model in json.loads(whole.stdout)["models"]} == set(WIDTHS)  # escaped: nothing is lost


@pytest.mark.parametrize(("charset", "rule"), [("cp1252", "-"), ("cp437", "─")])
def test_a_zoo_on_a_console(charset, rule):
    done = run("zoo", charset=charset)
    assert done.exit_code == 0
    assert set(done.stdout.splitlines()[1]) == {rule}


def test_an_error_on_a_console(here):
    done = run("rank", "--data", "./模型", charset="cp1252")
    said = "Error: Dataset './\\u6a21\\u578b': there is no such directory or .npz file.\n"
    assert (done.exit_code, done.stderr) == (1, said)


def test_a_console_of_windows_in_a_process_of_its_own(here):
    command = [sys.executable, "-m", "nrjax", *COMMANDS["rank-features"]]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "cp1252"})
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    lines = done.stdout.splitlines()
    assert set(lines[1]) == set(b"-")
    assert {line.split()[1] for line in lines[2:5]} == {b"??", b"na\xefve", b"m"}


SAVE = {
    "NPY": np.save,
    "NPZ": np.savez,
    "SAFETENSORS": lambda file, array: file.write(safetensors.numpy.save({"x": np.ascontiguousarray(array)})),
    "TXT": lambda file, array: np.savetxt(file, array, fmt="%d"),
}


def saved(path, array):
    with open(path, "wb") as file:  # given a name in capitals, NumPy adds another suffix
        SAVE[path.rpartition(".")[2]](file, array)


@pytest.mark.parametrize("kind", SAVE)
def test_files_in_capitals(here, kind):
    for folder in ("capitals", "theta"):
        Path(folder).mkdir()
    for name, width in (("M.NPY", 6), ("N.NPZ", 4), ("O.SAFETENSORS", 2)):
        saved(f"capitals/{name}", FEATURES[:, :width])
        saved(f"theta/{name}", PROBABILITIES)
    saved(f"L.{kind}", LABELS)
    scores = ["--scores", "silhouette,leep", "--probabilities", "theta"]
    done = run("rank-features", "capitals", "--labels", f"L.{kind}", *scores, "--format", "json")
    assert done.exit_code == 0, done.output
    found = {model["name"]: model["scores"] for model in json.loads(done.stdout)["models"]}
    expected = nrjax.rank_batch({"M": FEATURES, "N": FEATURES[:, :4], "O": FEATURES[:, :2]}, LABELS).scores
    assert {name: scores["silhouette"] for name, scores in found.items()} == pytest.approx(expected)
    leep = nrjax.leep(PROBABILITIES, LABELS)
    assert [scores["leep"] for scores in found.values()] == pytest.approx([leep] * 3)


def test_two_files_of_one_name(here):
    saved("features/m.NPY", FEATURES)
    done = run(*COMMANDS["rank-features"])
    assert (done.exit_code, done.stderr) == (1, "Error: 'features' has two files of one name: m.NPY.\n")


def test_rank_features_takes_groups_and_numbers(tmp_path):
    rng = np.random.default_rng(0)
    features, groups = rng.normal(size=(60, 5)), np.arange(60) // 6
    numbers = features[:, 0] + rng.normal(size=10)[groups]
    (tmp_path / "features").mkdir()
    np.save(tmp_path / "features" / "m.npy", features)
    np.savez(tmp_path / "features" / "beside.npz", groups=groups)
    (tmp_path / "numbers.txt").write_text("\n".join(map(str, numbers)))
    command = ["rank-features", str(tmp_path / "features"), "--labels", str(tmp_path / "numbers.txt")]
    command += ["--task", "regression", "--groups", str(tmp_path / "features" / "beside.npz"), "--scores", "probe,knn"]
    result = CliRunner().invoke(main, [*command, "--format", "json", "--report", str(tmp_path / "r.html")])
    assert result.exit_code == 0, result.output
    (model,) = json.loads(result.stdout)["models"]
    expected = nrjax.rank_batch({"m": features}, numbers, groups=groups, task="regression", scores=("probe", "knn"))
    assert model["scores"] == expected.models[0].scores
    assert "What a linear probe leaves over" in (tmp_path / "r.html").read_text()
