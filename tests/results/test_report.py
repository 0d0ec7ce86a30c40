"""The report: one file, safe with hostile names, and what a browser makes of it."""

import dataclasses
import re
import shutil

import numpy as np
import pytest

import nrjax
from nrjax.reports import _figures
from nrjax.results.bars import axis_text
from nrjax.targets import Target
from tests.oracles import blobs

pandas = pytest.importorskip("pandas", reason="pandas is not installed")

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


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Writes a report, and gives the samples and the residuals that it draws; a warning of Matplotlib fails."""

    def write(ranking, *arguments, **options):
        calls = {}
        for name in ("scatter_plots", "residual_plots"):
            draw = getattr(_figures, name)
            monkeypatch.setattr(
                _figures, name, lambda given, name=name, draw=draw: calls.update({name: given}) or draw(given)
            )
        nrjax.write_report(ranking, tmp_path / "r.html", *arguments, **options)
        monkeypatch.undo()
        return calls.get("scatter_plots"), calls.get("residual_plots"), (tmp_path / "r.html").read_text()

    return write


def test_ids_are_called_as_the_classes_of_the_ranking(drawn):
    target = Target.of(LABELS, names=["cat", "dog", "fox", "owl"])
    names = nrjax.rank_batch({"m": FEATURES}, [target.classes[i] for i in LABELS])
    (projection,), residuals, _ = drawn(names, {"m": FEATURES}, LABELS)
    assert tuple(projection.classes) == ("cat", "dog", "fox", "owl")
    assert residuals is None


def test_numbers_have_residuals_with_the_names_of_outputs(drawn):
    table = pandas.DataFrame(FEATURES[:, :2], columns=["price", "size"])
    ranking = nrjax.rank_batch({"m": FEATURES, "n": FEATURES[:, 2:]}, table, task="regression")
    projections, residuals, text = drawn(ranking, {"m": FEATURES, "n": FEATURES[:, 2:]}, table.to_numpy())
    assert [projection.about for projection in projections] == ["sum of the numbers"] * 2
    assert [tuple(prediction.outputs) for prediction in residuals] == [("price", "size")] * 2
    assert "By output: probe" in text


def test_several_labels(drawn):
    labels = np.stack([FEATURES[:, 0] > 0, FEATURES[:, 1] > 0, np.ones(80)], axis=1).astype(int)
    ranking = nrjax.rank_batch({"m": FEATURES}, labels)
    (projection,), residuals, text = drawn(ranking, {"m": FEATURES}, labels)
    np.testing.assert_array_equal(projection.ids, labels[:, :2].sum(axis=1))
    assert (projection.about, residuals) == ("how many labels it has", None)
    assert "By label: probe" in text


def test_clusters_have_no_labels(drawn):
    ranking = nrjax.rank_batch({"m": FEATURES}, None, n_clusters=4)
    for labels in (None, LABELS, FEATURES[:, 0]):
        (projection,), _, _ = drawn(ranking, {"m": FEATURES}, labels)
        assert projection.ids is None


def test_groups_are_left_out_of_the_residuals(drawn):
    ids = np.arange(80) // 8
    ranking = nrjax.rank_batch({"m": FEATURES}, FEATURES[:, 0] + ids, task="regression", groups=ids)
    fits = [
        drawn(ranking, {"m": FEATURES[:, 1:]}, FEATURES[:, 0] + ids, groups=groups)[1][0].predicted
        for groups in (None, ids)
    ]
    assert np.abs(fits[0] - fits[1]).max() > 0.01


def test_long_names_leave_room(drawn):
    name = "hf:/a/very/long/folder/that/somebody/made/for/all/the/networks/of/the/house/and/its/neighbours/net-"
    models = {f"{name}{i}": FEATURES[:, i:] for i in range(2)}
    ranking = nrjax.rank_batch(
        models, [f"class {label} {'x' * 60}" for label in LABELS], scores=("silhouette", "probe")
    )
    projections, _, _ = drawn(ranking, models, LABELS)
    assert [axis_text(projection.model)[-6:] for projection in projections] == [m[-6:] for m in ranking.order]


def test_no_page_says_what_is_of_another_kind_of_target(drawn, tmp_path):
    rng = np.random.default_rng(0)
    models = {"a": FEATURES, "b": rng.normal(size=FEATURES.shape)}
    numbers = FEATURES @ rng.normal(size=12)
    _, residuals, page = drawn(
        nrjax.rank_batch(models, numbers, task="regression", scores="probe", confidence=True), models, numbers
    )
    assert residuals is not None
    assert page.count("so it is left out: the labels are numbers") == 1  # said below the ranking, not once more
    assert not set(re.findall(r"<th[^>]*>(\w+)", page)) & {"distance", "tolerance", "n_components", "classes"}
    u, v = FEATURES, FEATURES + rng.normal(size=FEATURES.shape).astype(np.float32)
    pairs = {"pairs": np.concatenate([u, v, np.abs(u - v), u * v], axis=1)}
    correlated = nrjax.rank_batch(pairs, numbers, task="regression", scores="similarity")
    assert drawn(correlated, pairs, numbers)[1] is None  # nothing is trained
    rare = np.r_[np.zeros(70, int), np.ones(10, int)]
    scores = ("balanced_probe", "probe")
    _, _, page = drawn(nrjax.rank_batch(models, rare, scores=scores), models, rare)
    assert page.count("By class: balanced_probe") == page.count("balanced_probe takes for something else") == 1
    assert "By class: probe" not in page  # which has the same
    _, _, page = drawn(nrjax.rank_batch(models, None, n_clusters=3), models)
    assert re.search(r">clusters<", page)
    assert not re.search(r">classes<", page)


@pytest.mark.parametrize("kind", ["scores", "cost"])
def test_long_names_of_scores_stay_in_the_picture(kind):
    ranking = nrjax.rank_batch({"a": FEATURES}, LABELS, scores="balanced_probe")
    models = tuple(dataclasses.replace(model, parameters=10) for model in ranking.models)
    axes = dataclasses.replace(ranking, models=models).plot(kind)
    figure = axes.figure
    figure.canvas.draw()
    label = axes.xaxis.label if kind == "scores" else axes.yaxis.label
    box, whole = label.get_window_extent(), figure.bbox
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= whole.x1
    assert box.y1 <= whole.y1
