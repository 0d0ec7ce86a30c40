"""`nrjax sweep` and `nrjax results` as a user runs them."""

import csv
import io
import json
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from nrjax.cli import main


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two sweeps of the bundled zoo: a race of local workers, and all of it by another score."""
    path = tmp_path_factory.mktemp("sweep") / "r.db"
    first = run("sweep", "--store", path, "--top", 3, "--format", "csv")
    assert first.exit_code == 0, first.output
    second = run("sweep", "--store", path, "--engine", "inline", "--scores", "knn,silhouette", "--progress", "json")
    assert second.exit_code == 0, second.output
    return path, first, second


def test_sweep_says_how_it_goes(store):
    _, first, second = store
    names = [row["name"] for row in csv.DictReader(io.StringIO(first.stdout))]
    assert set(names[:2]) == {"F0-4", "F10"}
    assert len(names) < 9
    assert "9 candidates on 400 samples." in first.stderr
    assert "[9/9] " in first.stderr
    assert "Stopped after 400 samples, too far behind to be among the first 3" in first.stderr
    events = [json.loads(line) for line in second.stderr.splitlines() if line.startswith("{")]
    assert [event["event"] for event in events] == ["round", *9 * ["done"]]
    assert events[0]["candidates"] == 9
    assert all(0 < event["knn"] <= 1 for event in events[1:])


def test_results(store, tmp_path):
    path, first, _ = store
    rows = list(csv.DictReader(io.StringIO(run("results", path, "--format", "csv").stdout)))
    assert [(row["run"], row["first"], row["by"], row["candidates"]) for row in rows] == [
        ("1", "F0-4", "silhouette", "9"), ("2", rows[1]["first"], "knn", "9"),
    ]  # fmt: skip
    shown = run("results", path, "--run", 1, "--format", "csv")
    assert shown.stdout.strip() == first.stdout.strip()
    assert "Stopped after 400 samples" in shown.stderr
    beside = run("results", path, "--run", 1, "--compare", 2)
    assert "rank in 1" in beside.stdout
    assert "Kendall's tau" in beside.stderr
    page = run("results", path, "--run", 1, "--html", tmp_path / "page.html")
    assert page.exit_code == 0, page.output
    assert "stopped after 400 samples" in (tmp_path / "page.html").read_text(encoding="utf-8")
    for arguments, words in (
        (["--run", 7], "there is no run 7; there are 1, 2."),
        (["--compare", 1], "name it with --run"),
        (["--run", 1, "--compare", 1], "needs another run than --run; got 1 twice"),
        (["--run", 1, "--html", tmp_path / "page.txt"], "suffix must be one of"),
    ):
        bad = run("results", path, *arguments)
        assert bad.exit_code in (1, 2)
        assert words in bad.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopping_keeps_what_is_finished(tmp_path, how):
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # also where tests do not
    program = [sys.executable, "-c", f"{listening}; from nrjax.cli import main; main()"]
    command = [*program, "sweep", "--store", str(tmp_path / "r.db"), "--progress", "lines"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = []
    for line in running.stderr:
        said.append(line)
        if line.startswith("[2/9]"):
            break
    running.send_signal(how)
    rest = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    assert rest.splitlines()[-1].startswith("Stopped; finished results are in ")
    listed = run("results", tmp_path / "r.db").stdout
    assert "did not end" in listed
    bad = run("results", tmp_path / "r.db", "--run", 1)
    assert "run 1 did not end, so it has no ranking" in bad.stderr
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "the store has it" in again.stderr


def test_who_is_to_be_retried_must_be_there():
    done = run("sweep", "--retry", "nobody")
    assert (done.exit_code, done.stderr) == (
        1, "Error: retry_failed must name candidates; none is called 'nobody'.\n"
    )  # fmt: skip


def test_a_list_of_which_most_does_not_exist(tmp_path):
    names = [f"missing{i}" for i in range(900)]  # folders: no framework is asked for, so it is they that are missing
    (tmp_path / "many.json").write_text(json.dumps(names))
    from nrjax import demo

    done = run("sweep", demo.ZOO, tmp_path / "many.json", "--engine", "inline", "--scores", "silhouette", "--store",
               tmp_path / "r.db", "--progress", "none")  # fmt: skip
    assert done.exit_code == 1
    assert "900 of 909 models failed." in done.stderr
    assert len(done.stdout.splitlines()) < 60
    assert "880 more failed" in done.stdout
    assert "missing0 failed: Models" in done.stdout
    assert "there is no such folder or list" in done.stdout


def test_clusters_do_not_look_at_labels():
    for command in (["rank"], ["sweep", "--engine", "inline", "--progress", "none"]):
        done = run(*command, "--n-clusters", 5)
        assert done.exit_code == 0, done.output
        assert "Without labels" in done.stdout
        assert "in 5 clusters" in done.stdout
    assert "need labels" in run("rank", "--n-clusters", "auto", "--scores", "probe").stderr
    assert "at least 2, or auto" in run("rank", "--n-clusters", 1).stderr


@pytest.mark.parametrize(("size", "bytes"), [("8GB", 8e9), ("500 mb", 5e8), ("1.5TB", 1.5e12), ("1000", 1000)])
def test_sizes(size, bytes):
    from nrjax.cli.types import Bytes

    assert Bytes().convert(size, None, None) == bytes
    assert "expected a size such as 8GB" in run("sweep", "--memory-limit", "much").stderr
