"""The hub's own answers, from a server on this machine: lists of models for a task, and what --download fetches."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

import nrjax
from nrjax.models import load_candidates
from tests.models import sources, test_parts

pytest.importorskip("transformers", exc_type=ImportError)
T = sources.texts(12)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def model(name, parameters, library="transformers", licence="apache-2.0", **more):
    """As the hub's API lists a model."""
    return {
        "_id": name, "id": name, "library_name": library, "downloads": 10, "gated": False,
        "tags": [library, "safetensors", f"license:{licence}", *more.pop("tags", ())],
        "safetensors": {"parameters": parameters, "total": sum(parameters.values())},
        "config": {"model_type": "vit"}, **more,
    }  # fmt: skip


LISTED = [
    model("google/vit-base", {"F32": 86_000_000}),
    model("timm/resnet18.a1_in1k", {"F32": 11_000_000, "I64": 20}, "timm", config={}),
    model("someone/odd", {"F16": 5_000_000}, licence="mit"),
    model("someone/own-code", {"F32": 5}, tags=["custom_code"]),
    model("someone/locked", {"F32": 5}, gated="manual"),
    model("someone/fastai-net", {"F32": 5}, "fastai"),
    model("someone/timm-net", {"F32": 5}, "timm"),
    model("../../etc/passwd", {"F32": 5}),
    model("someone/no-numbers", {"F32": 5}) | {"safetensors": None},
]


@pytest.fixture
def hub(tmp_path):
    """A server that lists `LISTED`, and has the files of `tmp_path/hub/OWNER/NAME`; with what it was asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format, *args):
            pass

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            asked.append(self.path)
            path, *_ = self.path.split("?")
            parts = path.strip("/").split("/")
            folder = tmp_path / "hub"
            if path == "/api/models":
                return self.answer(json.dumps(LISTED).encode())
            if parts[:2] == ["api", "models"]:
                place = folder / parts[2] / parts[3]
                files = [file for file in place.rglob("*") if file.is_file()]
                names = [str(file.relative_to(place)) for file in files]
                about = {"id": "/".join(parts[2:4]), "sha": COMMIT, "siblings": [{"rfilename": n} for n in names]}
                tree = [{"type": "file", "path": name, "oid": name, "size": file.stat().st_size}
                        for name, file in zip(names, files, strict=True)]  # fmt: skip
                return self.answer(json.dumps(tree if "tree" in parts else about).encode())
            file = folder.joinpath(*parts[:2], *parts[4:])
            if file.is_file():
                return self.answer(file.read_bytes())
            return self.answer(b"", 404, {"X-Error-Code": "EntryNotFound"})

        def answer(self, content, status=200, headers=None):
            self.send_response(status)
            named = {"X-Repo-Commit": COMMIT, "ETag": f'"{hash(content)}"', "Content-Length": str(len(content))}
            for name, value in (named | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def run(*words):
        settings = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path / "home"),
                    "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}  # fmt: skip
        settings |= {"HF_HUB_CACHE": str(tmp_path / "home" / "hub")}
        return subprocess.run([sys.executable, "-m", "nrjax", *words], capture_output=True, text=True, cwd=tmp_path,
                              env=os.environ | settings)  # fmt: skip

    run.asked = asked
    yield run
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_search_becomes_a_list(hub, tmp_path):
    where = "parameters < 50e6 and license == 'apache-2.0'"
    done = hub("zoo", "--search", "image-classification", "--where", where, "--out", "list.toml", "--format", "json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["model"] == "timm:resnet18.a1_in1k"
    assert (row["parameters"], row["bytes"]) == (11_000_020, 44_000_160)
    assert "1 models, 0.0 GB of weights. Nothing was downloaded; nrjax rank list.toml --download does." in done.stderr
    assert any("pipeline_tag=image-classification" in path for path in hub.asked)
    assert all("/resolve/" not in path for path in hub.asked)
    assert list(load_candidates(str(tmp_path / "list.toml"), where="bytes < 1e9")) == ["timm:resnet18.a1_in1k"]
    again = hub("zoo", "--search", "image-classification", "--out", "list.toml")
    assert again.returncode == 1
    assert "list.toml" in again.stderr  # it is not overwritten


def test_what_nrjax_cannot_read_is_left_out(hub):
    done = hub("zoo", "--search", "image-classification", "--format", "json")
    names = [row["model"] for row in json.loads(done.stdout)]
    assert names == ["hf:google/vit-base", "timm:resnet18.a1_in1k", "hf:someone/odd"]
    done = hub("zoo", "--search", "image-classification", "--limit", "1", "--format", "csv")
    assert done.stdout.splitlines()[1].startswith("hf:google/vit-base,apache-2.0,vit,86000000,344000000,10")


def test_nearly_right(hub):
    for words, told in {
        ("--search", "cats"): "search: task must be of image-classification, ",
        ("--search", "fill-mask", "--where", "parameters < 3"): "none of the 5,000 most downloaded fits 'parameters",
        ("--search", "fill-mask", "--where", "f("): "where must be an expression",
        ("timm:resnet18", "--search", "fill-mask"): "--search TASK lists models of the hub",
        ("--out", "x.toml"): "--search TASK lists models of the hub",
    }.items():
        done = hub("zoo", *words)
        assert done.returncode != 0
        assert told in done.stderr
        assert "Traceback" not in done.stderr


def test_an_encoder_of_sentences_pools_as_its_files_say_when_it_is_downloaded(hub, tmp_path):
    """And again from the cache, without a question to the hub."""
    pytest.importorskip("sentence_transformers")
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules", reason="an older release")
    sources.save_bert(tmp_path / "bert", 0)
    encoder = test_parts.write(tmp_path / "hub" / "owner" / "encoder", modules.Transformer(str(tmp_path / "bert")),
                               modules.Pooling(16, pooling_mode="max"), modules.Normalize())  # fmt: skip
    labels = np.arange(12) % 3
    rows = "\n".join(f"{text},c{label}" for text, label in zip(T, labels, strict=True))
    (tmp_path / "data.csv").write_text(f"text,label\n{rows}")
    expected = nrjax.rank_batch({"x": encoder.encode(T)}, labels, scores="silhouette").scores["x"]
    words = ("rank", "hf:owner/encoder", "--data", "data.csv", "--scores", "silhouette", "--format", "json")
    done = hub(*words)
    assert done.returncode == 1
    assert "neither a directory nor in the cache of the hub" in done.stderr
    assert hub.asked == []
    for more in (("--download",), ()):
        hub.asked.clear()
        done = hub(*words, *more)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["models"][0]["score"] == pytest.approx(expected, abs=1e-5)
        assert bool(hub.asked) is bool(more)
