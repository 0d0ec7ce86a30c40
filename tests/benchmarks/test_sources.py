"""The page of results is made from what was measured."""

import json

from benchmarks.sources import document
from benchmarks.sources.__main__ import RESULTS, main


def test_the_page_is_that_of_the_numbers():
    doc = json.loads((RESULTS / "sources.json").read_text(encoding="utf-8"))
    assert document.readme(doc) == (RESULTS / "README.md").read_text(encoding="utf-8")


def test_exports_and_embeddings_are_the_frameworks_own():
    doc = json.loads((RESULTS / "sources.json").read_text(encoding="utf-8"))
    assert max(found["apart"] for found in doc["images"].values()) < 1e-4
    assert doc["texts"]["apart"] < 1e-4


def test_parts_that_are_not_asked_for_stay(tmp_path):
    for name in ("sources.json", "README.md"):
        (tmp_path / name).write_bytes((RESULTS / name).read_bytes())
    assert main(["--parts", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "README.md").read_bytes() == (RESULTS / "README.md").read_bytes()
