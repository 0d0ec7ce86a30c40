"""Sources of every kind in one ranking: each has the features that its framework gives, however it is held.

`python -m tests.models.test_side_by_side` writes the page that shows it, which needs all frameworks.
"""

import contextlib
import re
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrjax
from nrjax.models import load_candidates
from tests.models import ways

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "sources.md"
COLUMNS = ("live", "file", "directory", "name")
KINDS = {"images": (ways.OF_IMAGES, ways.images), "texts": (ways.OF_TEXTS, ways.texts)}
NEAR = 1e-5  # of the largest feature
ROW = re.compile(r"^\| (.*?) \| (.*) \|$", re.MULTILINE)


@contextlib.contextmanager
def built(kind: str, place: Path, missing: list[str]) -> Iterator[list[ways.Case]]:
    """Cases of the frameworks that are here, and in `missing` the others; the hub's cache is one of its own."""
    cases: list[ways.Case] = []
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of exporters
        with contextlib.suppress(ImportError):
            patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(place / "hub"))
        for number, build in enumerate(KINDS[kind][0]):
            (place / str(number)).mkdir()
            try:
                cases += build(place / str(number), place / "hub")
            except pytest.skip.Exception as reason:
                missing.append(str(reason))
        yield cases


def apart(case: ways.Case, candidate: Any, samples: Any) -> float:
    """How far features are from the framework's own, as a part of the largest."""
    candidates = load_candidates({"candidate": candidate})
    features = nrjax.extract_features(candidates[next(iter(candidates))], samples, case.layer)
    assert features.shape == np.shape(case.expected)
    return float(np.abs(features - case.expected).max() / np.abs(case.expected).max())


def name_of(case: ways.Case, how: str) -> str:
    return f"{case.source}, {how}"


def ranked(cases: list[ways.Case], kind: str) -> Any:
    """One ranking of everything."""
    models = {name_of(case, how): held for case in cases for how, held in case.held.items()
              if case.layer == "penultimate"}  # fmt: skip
    return nrjax.rank(models, *KINDS[kind][1](), scores="silhouette", progress=False)


@pytest.fixture(scope="module", params=KINDS)
def here(request, tmp_path_factory):
    missing: list[str] = []
    with built(request.param, tmp_path_factory.mktemp("ways"), missing) as cases:
        if not cases:
            pytest.skip(missing[0])
        yield request.param, cases, missing


def test_features_are_the_frameworks_own(here):
    kind, cases, _ = here
    samples, _ = KINDS[kind][1]()
    far = {name_of(case, how): apart(case, held, samples) for case in cases for how, held in case.held.items()}
    assert {name: value for name, value in far.items() if not value < NEAR} == {}


def test_one_ranking(here):
    kind, cases, _ = here
    ranking = ranked(cases, kind)
    assert not ranking.failed
    features = {name_of(case, how): np.asarray(case.expected) for case in cases for how in case.held
                if case.layer == "penultimate"}  # fmt: skip
    expected = nrjax.rank_batch(features, KINDS[kind][1]()[1]).scores
    assert len({round(score, 4) for score in expected.values()}) > 1
    assert ranking.scores == pytest.approx(expected, abs=1e-4)
    assert set(ranking.scores) == set(features)


def test_the_page_has_all_of_it(here):
    kind, cases, missing = here
    text = PAGE.read_text(encoding="utf-8").partition(f"## {kind.capitalize()}")[2].partition("\n## ")[0]
    rows = {source: cells.split(" | ") for source, cells in ROW.findall(text)}
    for case in cases:
        held = {column for column, cell in zip(COLUMNS, rows[case.source], strict=True) if cell}
        assert held == set(case.held), case.source
    if not missing:
        assert len(rows) == len(cases) + 1  # with the header


def write() -> None:
    """Writes the page."""
    text = [
        "# Sources, and how exactly they are read", "",
        "Each cell compares the features of nrjax with those that the framework gives alone, on 40 samples: the "
        "largest difference as a part of the largest feature. All networks are small and have random weights. *name* "
        "is a model in the hub's cache. `python -m tests.models.test_side_by_side` wrote this page, and a test repeats "
        f"the comparison: no difference is above {NEAR:g}.", "",
    ]  # fmt: skip
    for kind, (_, load) in KINDS.items():
        missing: list[str] = []
        samples, _ = load()
        with tempfile.TemporaryDirectory() as folder, built(kind, Path(folder), missing) as cases:
            if missing:
                raise SystemExit("; ".join(missing))
            text += [f"## {kind.capitalize()}", "", f"| | {' | '.join(COLUMNS)} |", f"|---|{'---|' * len(COLUMNS)}"]
            for case in cases:
                far = {how: apart(case, held, samples) for how, held in case.held.items()}
                cells = (f"{far[column]:.0e}" if far.get(column) else "equal" if column in far else ""
                         for column in COLUMNS)  # fmt: skip
                text.append(f"| {case.source} | {' | '.join(cells)} |")
            ranking = ranked(cases, kind)
            text += ["", "The same in one ranking:", "", "```", str(ranking), "```", ""]
    PAGE.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    write()
