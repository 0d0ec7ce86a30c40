"""The report: one file, safe with hostile names, and what a browser makes of it."""

import re
import shutil

import numpy as np
import pytest

import nrjax
from tests.oracles import blobs

HOSTILE = "<img src=x onerror=\"document.title='owned'\">$x^$\x1b[2J"
FEATURES, LABELS = blobs(80, 12, 4)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "r.html"
    noise = np.random.default_rng(1).normal(size=FEATURES.shape).astype(np.float32)
    models = {HOSTILE: FEATURES, "plain": FEATURES + 3 * noise, "broken": FEATURES[:5]}
    ranking = nrjax.rank_batch(models, LABELS, scores=("silhouette", "probe"), confidence=True)
    nrjax.write_report(ranking, path, models.__getitem__, LABELS, command="nrjax rank '<script>alert(1)</script>'")
    return path


def test_it_is_one_file_without_network_or_scripts(page):
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "\x1b" not in text
    assert set(re.findall(r'src="([^,"]*)', text)) == {"data:image/png;base64"}
    assert not re.search(r'(href|src)="(?!data:)', text)
    assert "default-src 'none'" in text


def test_it_says_what_the_ranking_says(page):
    text = page.read_text(encoding="utf-8")
    expected = (
        "P(first by silhouette)",
        "broken failed: expected one row per label; got",
        "n_components",
        "By class: probe",
    )
    for words in (*expected, "takes for something else", "→", "80"):
        assert words in text


def test_layers_and_many_classes(tmp_path, tiny_images):
    from nrjax.models import from_linen
    from tests.conftest import tiny_variables

    models = {"m": from_linen(*tiny_variables(), input_shape=(8, 8, 1))}
    ranking = nrjax.rank(models, *tiny_images, layers=[0, "nosuch", -1])
    nrjax.write_report(ranking, tmp_path / "r.html")
    assert "Score by layer" in (tmp_path / "r.html").read_text(encoding="utf-8")
    labels = np.arange(80) % 25
    many = nrjax.rank_batch({"one wide": FEATURES[:, :1]}, labels)
    nrjax.write_report(many, tmp_path / "many.html", lambda name: FEATURES[:, :1], labels)
    assert (tmp_path / "many.html").stat().st_size > 20_000


def test_a_browser_shows_it(page):
    sync_api = pytest.importorskip("playwright.sync_api")
    browser_path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser_path is None:
        pytest.skip("no Chromium here: Debian's package chromium has one")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=flags)
        tab = browser.new_page(viewport={"width": 1000, "height": 1400})
        requests, complaints = [], []
        tab.on("request", lambda request: requests.append(request.url))
        tab.on("console", lambda message: complaints.append(message.text))
        tab.goto(page.as_uri())
        images = tab.evaluate("[...document.images].map(i => [i.naturalWidth, i.getBoundingClientRect().width])")
        cells = tab.locator("table").first.locator("td").all_inner_texts()
        overflow = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        title = tab.title()
        browser.close()
    assert not complaints
    assert {url.split(":")[0] for url in requests} <= {"file", "data"}
    assert len(images) == 4  # the scores, two of them by class, and the samples of the best and the worst model
    assert all(natural > 300 and shown > 300 for natural, shown in images)
    assert any("onerror" in cell for cell in cells)  # as text
    assert title != "owned"
    assert overflow <= 0
