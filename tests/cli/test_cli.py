"""The commands as a user runs them, in processes of their own where that matters."""

import csv
import io
import json
import pickle
import re
import shlex
import subprocess
import sys

import click
import numpy as np
import pytest
from click.testing import CliRunner

import nrjax
from nrjax.cli import main
from tests.oracles import blobs


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def target(tmp_path, tiny_images):
    images, labels = tiny_images
    np.savez(tmp_path / "target.npz", images=images, labels=labels)
    return tmp_path / "target.npz"


@pytest.fixture
def zoo(tmp_path, save_tiny):
    for seed, name in enumerate(["a", "b", "c"]):
        save_tiny(tmp_path / "zoo", name, seed, tags={"training_data": "noise"})
    return tmp_path / "zoo"


def test_bundled_default_in_a_fresh_process():
    done = subprocess.run([sys.executable, "-m", "nrjax", "rank"], capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()[2:11]]
    assert [row[0] for row in rows] == list("123456789")
    assert {rows[0][1], rows[1][1]} == {"F0-4", "F10"}
    assert sorted(row[1] for row in rows) == sorted(f"{d}{c}" for d in "MFC" for c in ("10", "0-4", "5-9"))
    assert "bundled zoo" in done.stderr
    assert "bundled" not in done.stdout


def test_a_compilation_cache_is_filled(tmp_path, zoo, target):
    command = [sys.executable, "-m", "nrjax", "--compilation-cache", str(tmp_path / "cache"), "rank", str(zoo)]
    subprocess.run([*command, "--data", str(target)], capture_output=True, check=True)
    assert list((tmp_path / "cache").iterdir())


def test_rank_formats_agree(zoo, target):
    table = run("rank", zoo, "--data", target, "--layer", "dense", "--components", 3)
    assert table.exit_code == 0, table.output
    ranking = json.loads(
        run("rank", zoo, "--data", target, "--layer", "dense", "--components", 3, "--format", "json").stdout
    )
    rows = list(csv.DictReader(io.StringIO(
        run("rank", zoo, "--data", target, "--layer", "5", "--components", 3, "--format", "csv").stdout
    )))  # fmt: skip
    assert [m["name"] for m in ranking["models"]] == [row["name"] for row in rows]
    assert [m["score"] for m in ranking["models"]] == pytest.approx([float(row["score"]) for row in rows])
    assert ranking["settings"]["layer"] == "dense"
    assert "layer dense" in table.stdout
    assert "3 principal components" in table.stdout


def test_plot_is_written(zoo, target, tmp_path):
    assert run("rank", zoo, "--data", target, "--plot", tmp_path / "p.png").exit_code == 0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_one_corrupt_model_out_of_five(zoo, target, save_tiny):
    save_tiny(zoo, "d", 3)
    save_tiny(zoo, "e", 4)
    (zoo / "b" / "weights.safetensors").write_bytes(b"broken")
    done = run("rank", zoo, "--data", target)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert sorted(line.split()[1] for line in lines[2:6]) == ["a", "c", "d", "e"]
    assert lines[6].split() == ["-", "b", "-", "-", "failed"]
    assert "b failed: weights.safetensors cannot be read" in done.stdout
    assert "1 of 5 models failed" in done.stderr
    listing = run("zoo", zoo)
    assert listing.exit_code == 0  # descriptions are whole; weights are not opened
    (zoo / "b" / "model.json").write_text("?")
    listing = run("zoo", zoo)
    assert listing.exit_code == 1
    assert "model.json is not JSON" in listing.stdout


def test_zoo_and_layers(zoo):
    listing = run("zoo", zoo, "--format", "json")
    assert [row["model"] for row in json.loads(listing.stdout)] == ["a", "b", "c"]
    assert json.loads(listing.stdout)[0]["training_data"] == "noise"
    layers = run("layers", zoo, "a", "--format", "csv").stdout.splitlines()
    assert layers[0] == "index,layer,shape,dims"
    assert layers[6] == "5,dense,8,8"
    assert run("zoo").stdout.count("paper_cnn") == 9


def test_rank_features_of_every_format(tmp_path):
    import safetensors.numpy

    features, labels = blobs(60, 8, 3)
    folder = tmp_path / "features"
    folder.mkdir()
    np.save(folder / "one.npy", features)
    np.savez(folder / "two.npz", features=features[:, :4], other=features)
    np.savez(folder / "three.npz", anything=features[:, :3])
    safetensors.numpy.save_file({"features": features[:, :2].copy()}, folder / "four.safetensors")
    np.save(folder / "labels.npy", labels)
    (folder / "readme.txt").write_text("not features")
    done = run("rank-features", folder, "--labels", folder / "labels.npy", "--format", "json")
    assert done.exit_code == 0, done.output
    ranked = {m["name"]: m["score"] for m in json.loads(done.stdout)["models"]}
    widths = {"one": 8, "two": 4, "three": 3, "four": 2}
    assert ranked == pytest.approx(nrjax.rank_batch({n: features[:, :w] for n, w in widths.items()}, labels).scores)
    (tmp_path / "labels.txt").write_text("\n".join(f"class {label}" for label in labels))
    by_text = run("rank-features", folder, "--labels", tmp_path / "labels.txt", "--format", "json")
    assert by_text.exit_code == 1  # labels.npy is now taken for a model, and fails
    assert {m["name"]: m["score"] for m in json.loads(by_text.stdout)["models"] if m["score"]} == pytest.approx(ranked)


class Exploit:
    def __reduce__(self):
        return (print, ("owned",))


def test_pickled_objects_are_refused_and_not_run(tmp_path, capfd):
    features, labels = blobs(30, 4, 3)
    folder = tmp_path / "features"
    folder.mkdir()
    np.save(folder / "good.npy", features)
    np.save(folder / "evil.npy", np.array([Exploit()]), allow_pickle=True)
    np.savez(folder / "evil2.npz", features=np.array([Exploit()]))
    (folder / "evil3.safetensors").write_bytes(pickle.dumps(Exploit()))
    np.save(tmp_path / "labels.npy", labels)
    done = run("rank-features", folder, "--labels", tmp_path / "labels.npy")
    assert done.exit_code == 1
    assert done.stdout.count("holds pickled objects, which are refused") == 2
    assert "evil3.safetensors cannot be read" in done.stdout
    assert "3 of 4 models failed" in done.stderr
    assert "owned" not in done.output + capfd.readouterr().out
    np.save(tmp_path / "labels.npy", np.array([Exploit()]), allow_pickle=True)
    done = run("rank-features", folder, "--labels", tmp_path / "labels.npy")
    assert (done.exit_code, done.stderr) == (
        1, "Error: labels.npy holds pickled objects, which are refused; save an array of numbers.\n",
    )  # fmt: skip


@pytest.mark.parametrize("command", [["rank"], ["sweep", "--progress", "none"]], ids=lambda words: words[0])
def test_a_report_draws_the_features_that_were_ranked(zoo, target, tmp_path, monkeypatch, command):
    drawn = {}

    def keep(ranking, path, features, labels, **options):
        drawn.update({model.name: (features(model.name).shape[1], model.dims) for model in ranking.models})

    monkeypatch.setattr("nrjax.reports.write_report", keep)
    options = "--layer", "conv1", "--pooling", "mean", "--report", tmp_path / "r.html"
    done = run(*command, zoo, "--data", target, *options)
    assert done.exit_code == 0, done.output
    assert drawn
    assert all(width == dims < 100 for width, dims in drawn.values()), drawn


def test_scores_confidence_layers_and_a_report(zoo, target, tmp_path):
    done = run(
        "rank", zoo, "--data", target, "--scores", "silhouette,probe,leep", "--by", "probe", "--confidence",
        "--layers", "0,penultimate,-1", "--report", tmp_path / "r.html",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    for words in (
        "P(first by probe)",
        "P(within 1 point)",
        "silhouette",
        "leep",
        "layer",
        "accuracy of a linear probe",
    ):
        assert words in done.stdout
    assert "Wrote" in done.stderr
    assert "Score by layer" in (tmp_path / "r.html").read_text()
    best, sure = (
        list(csv.DictReader(io.StringIO(run("rank", zoo, "--data", target, *options, "--format", "csv").stdout)))
        for options in (["--layer", "best"], ["--confidence"])
    )
    assert {row["layer"] for row in best} <= {"conv1", "pool1", "conv2", "pool2", "dense", "logits"}
    assert all(float(row["low"]) < float(row["high"]) for row in sure)
    assert len(best) == len(sure) == 3
    listed = run("rank", "--scores", "help")
    assert listed.exit_code == 0
    assert {line.split()[0] for line in listed.stdout.splitlines()} == set(nrjax.available_scores())


def test_rank_features_with_probabilities(tmp_path):
    features, labels = blobs(60, 8, 3)
    theta = np.random.default_rng(0).dirichlet(np.ones(5), 60).astype(np.float32)
    for folder, array in (("features", features), ("theta", theta)):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "a.npy", array)
        np.save(tmp_path / folder / "b.npy", array)
    (tmp_path / "theta" / "b.npy").write_bytes(b"damaged")
    np.save(tmp_path / "labels.npy", labels)
    arguments = [
        "rank-features",
        tmp_path / "features",
        "--labels",
        tmp_path / "labels.npy",
        "--scores",
        "silhouette,leep",
    ]
    done = run(*arguments, "--probabilities", tmp_path / "theta", "--report", tmp_path / "r.html")
    assert done.exit_code == 0, done.output
    assert "b has no leep: b.npy holds pickled objects" in done.stdout
    assert f"{nrjax.leep(theta, labels):.4f}" in done.stdout
    assert "No model has leep" in run(*arguments).stdout


USAGE = {
    "backwards classes": (["rank", "--classes", "7-3"], "the range 7-3 runs backwards"),
    "no components": (["rank", "--components", "0"], "0 is not in the range x>=1"),
    "no such zoo": (["rank", "nowhere"], "there is no such folder or list"),
    "a cost of models that do not run": (["zoo", "--where", "ms < 3"], "ms < 3: ms is known when models run"),
    "unknown format": (["rank", "--format", "xml"], "'xml' is not one of"),
    "unknown command": (["rang"], "No such command"),
    "unknown score": (["rank", "--scores", "accuracy"], "scores must be of silhouette, probe"),
    "labels missing": (["rank-features", "."], "Missing option '--labels'"),
}


@pytest.mark.parametrize("case", USAGE)
def test_usage_errors_exit_with_2(case):
    arguments, words = USAGE[case]
    done = run(*arguments)
    assert done.exit_code == 2
    assert words in done.stderr


def test_errors_are_one_line_and_debug_shows_the_traceback(tmp_path):
    (tmp_path / "empty").mkdir()
    for arguments, words in (
        (["rank", tmp_path / "empty"], "is empty: expected one folder per model"),
        (["rank", "--data", "nosuch"], "nor a dataset of TFDS"),
        (["rank", "--layer", "nosuch"], "no layer 'nosuch'; it has input (0)"),
        (["layers", nrjax.load_demo().zoo.path, "X10"], "no model 'X10'"),
        (["rank", "--classes", "8"], "the dataset has 5 classes, 0-4"),
        (["rank", "--classes", "2"], "at least 2 classes"),
    ):
        done = run(*arguments)
        assert done.exit_code == 1
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
        assert words in done.stderr
    for debug in (["--debug", "rank", "--data", "nosuch"], ["rank", "--data", "nosuch", "--debug"]):
        done = run(*debug)
        assert isinstance(done.exception, ValueError)


def test_version():
    assert run("--version").stdout == f"nrjax, version {nrjax.__version__}\n"


@pytest.mark.parametrize("name", main.commands)
def test_the_examples_of_help_can_be_typed(name):
    shown, command = run(name, "--help"), main.commands[name]
    assert shown.exit_code == 0
    assert all(part in shown.stdout for part in ("Usage: ", "Options:", "Examples:", "Exit code:"))
    examples = re.findall(rf"^ +nrjax {name}(?: (.*))?$", shown.stdout, re.MULTILINE)
    assert examples
    for example in examples:
        words = shlex.split(example.split(" > ")[0])
        command.make_parser(click.Context(command)).parse_args(words)  # names of options, and what takes a value
    assert all(len(line) <= 120 for line in shown.stdout.splitlines())


def test_every_option_is_explained():
    named = {"--format", "--distance"}  # their values say it
    for name, command in main.commands.items():
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help or named & set(option.opts), f"{name} {option.opts}"


def test_head_of_a_ranking_that_was_written_down(tmp_path, zoo, target):
    page = tmp_path / "ranking.json"
    options = ("--data", target, "--max-samples", 40, "--scores", "probe", "--layers", "0,penultimate")
    page.write_text(run("rank", zoo, *options, "--format", "json").stdout, encoding="utf-8")
    done = run("head", page, "b", "--out", tmp_path / "head")
    assert done.exit_code == 0, done.output
    ranking = nrjax.Ranking.from_dict(json.loads(page.read_text(encoding="utf-8")))
    head = nrjax.load_head(tmp_path / "head", nrjax.load_zoo(zoo)["b"])
    assert str(head.layer) == ranking["b"].layer
    assert head.score == pytest.approx(ranking["b"].score)
    assert f"{head.score:.4f}" in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "is no ranking that --format json wrote"),
        ("{}", "is no ranking that --format json wrote"),
        ("arrays", "does not name its models and data"),
        ("name", "has no model 'other'"),
    ],
)
def test_head_says_what_it_cannot_use(tmp_path, zoo, target, content, message):
    page = tmp_path / "ranking.json"
    if content == "arrays":
        content = nrjax.rank_batch({"m": blobs(30, 4, 2)[0]}, blobs(30, 4, 2)[1]).to_json()
    elif content == "name":
        content = run("rank", zoo, "--data", target, "--format", "json").stdout
    page.write_text(content, encoding="utf-8")
    done = run("head", page, "other", "--out", tmp_path / "head")
    assert done.exit_code == 1
    assert message in done.output
    assert not (tmp_path / "head").exists()
