"""The table of how figures moved knows the pages of results as they are today, and ends with their figures."""

import pytest

from benchmarks import history


@pytest.mark.parametrize("page", history.BENCHMARKS, ids=lambda one: one.page)
def test_every_figure_is_on_its_page(page):
    text = (history.ROOT / "benchmarks" / page.page).read_text(encoding="utf-8")
    figures = dict(zip(page.figures, history.figures_of(text, page), strict=True))
    assert [name for name, figure in figures.items() if not figure] == []


def test_the_command_writes_what_was_committed(tmp_path):
    if not history.git("rev-parse", "--verify", "20ce3dc^{commit}"):
        pytest.skip("no git history here")
    assert history.main(["--out", str(tmp_path / "page.md")]) == 0
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert text.count("\n## ") == len(history.BENCHMARKS)
    assert "| 2026-11-21 | 45.4 ms | 11.8 | 496.7 |" in text


def test_without_git_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(history, "ROOT", tmp_path)
    assert history.main(["--out", str(tmp_path / "page.md")]) == 1
    assert capsys.readouterr().err.startswith("Error: the history needs git")
