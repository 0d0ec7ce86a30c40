"""The page of a thousand models, in a browser."""

import shutil

import numpy as np
import pytest

import nrjax
from nrjax.reports import sortable_table

EVIL = "<img src=x onerror=document.title='owned'>"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 3
    features = {f"m{i}": rng.normal(size=(30, 4)) + rng.uniform(0, 3) * labels[:, None] for i in range(997)}
    features |= {EVIL: features["m0"], "broken": np.full((30, 4), np.nan)}
    ranking = nrjax.rank_batch(features, labels)
    dropped = {"slow": {"samples": 400, "score": -0.5, "behind": (0.3, 5.0), "ahead": "m1"}}
    path = tmp_path_factory.mktemp("sheet") / "page.html"
    path.write_text(sortable_table(ranking, dropped, "A thousand", "nrjax sweep"), encoding="utf-8")
    return path, ranking


def test_it_holds_every_model_and_needs_nothing(page):
    path, ranking = page
    text = path.read_text(encoding="utf-8")
    assert text.count("<tr") == 1 + 1000
    assert EVIL not in text
    assert "http://" not in text
    assert "https://" not in text
    assert f"{ranking.models[0].score:.4f}" in text


def test_a_browser_sorts_and_filters_it(page):
    sync_api = pytest.importorskip("playwright.sync_api")
    browser_path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser_path is None:
        pytest.skip("no Chromium here: Debian's package chromium has one")
    path, ranking = page
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=flags)
        tab = browser.new_page(viewport={"width": 1000, "height": 800})
        complaints = []
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(path.as_uri())

        def column(number):
            return tab.evaluate(f"[...document.querySelectorAll('tbody tr')].map(r => r.cells[{number}].textContent)")

        assert column(1)[: len(ranking.order)] == ranking.order
        tab.get_by_role("button", name="silhouette").click()  # ascending
        scores = [score for score in column(2) if score]
        assert scores == sorted(scores, key=float)
        assert float(scores[0]) == -0.5
        tab.get_by_role("button", name="silhouette").click()
        assert [s for s in column(2) if s] == sorted(scores, key=float, reverse=True)
        assert not column(2)[-1]  # the model without a score stays below
        tab.get_by_role("searchbox").fill("stopped m1")
        assert tab.locator("#count").inner_text() == "1 of 1,000"
        assert tab.locator("tbody tr:visible").all_inner_texts()[0].split("\t")[1] == "slow"
        tab.get_by_role("searchbox").fill("")
        assert tab.locator("#count").inner_text() == "1,000 of 1,000"
        tab.set_viewport_size({"width": 390, "height": 800})
        wide = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        title = tab.title()
        browser.close()
    assert wide <= 0
    assert title == "nrjax: A thousand"
    assert not complaints
