"""A sample of the damage that `python -m benchmarks.hostile` does, one process for all of it."""

import pytest

from benchmarks.hostile.__main__ import FAMILIES, judged, main, readme, run_cases
from benchmarks.hostile.features import Case

SAMPLE = """
zoo:description-is-fifo zoo:description-is-loop zoo:weights-outside zoo:safetensors-is-socket zoo:safetensors-flipped
zoo:msgpack-nested zoo:orbax-files-missing zoo:description-nested zoo:config-dense-1e12 zoo:config-conv-deep
zoo:input_shape-that-fits-2e14 zoo:preprocessing-int-1e400 zoo:text-tags-digits zoo:text-tags-escape
zoo:name-bytes-broken zoo:values-nan features:npz-flipped features:npy-rows-1e12 features:array-objects
features:safetensors-names labels:txt-is-fifo labels:array-nan labels:npz-two-arrays labels:txt-bom
images:png-is-fifo images:bomb-60000 images:png-truncated images:macosx images:class-escape
""".split()


@pytest.fixture(scope="module")
def results():
    wanted = [(*name.split(":"), 0) for name in SAMPLE]
    return {f"{one['family']}:{one['kind']}": one for one in run_cases(wanted, timeout=120)}


@pytest.mark.parametrize("name", SAMPLE)
def test_damage_ends_in_a_ranking_or_in_a_sentence(results, name):
    assert results[name]["problems"] == []


def test_failures_are_found_and_listed():
    ranking = '{"models": [{"name": "one", "score": 0.5, "reason": null}], "settings": {"classes": 3}}'
    case = Case(["rank"], ("one", "two"), "refused")
    outcome, problems = judged(case, (0, ranking, ""), ("Traceback: x", "", ""))
    assert outcome == "ranked"
    assert problems == ["table: traceback: Traceback: x", "two is not ranked", "ranked, not refused"]
    assert judged(case, (1, "", "Error: there is no file.\n"), (1, "", "one\x1b[31m\ntwo\n"))[1] == [
        "table: stderr has 'one\\x1b[31m'", "table: stderr has 'two'", "table: control characters are shown",
        "the sound models are not ranked",
    ]  # fmt: skip
    told = {"family": "zoo", "kind": "k", "case": "zoo:k:7", "mib": 1, "seconds": 1, "problems": problems}
    page = readme([told | {"outcome": outcome}], "`python -m benchmarks.hostile`")
    assert "| zoo | k | 1 | 0 | 0 | 1 | 1 | 1.0 |" in page
    assert "`--case zoo:k:7`: `table: traceback: Traceback: x; two is not ranked" in page


def test_there_are_hundreds_of_kinds_and_unknown_ones_are_named(capsys):
    assert sum(len(family.KINDS) for family in FAMILIES.values()) > 300
    assert main(["--case", "zoo:nothing:0"]) == 1
    assert main(["--only", "nothing"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "Error: There is no kind zoo:nothing; see KINDS in the files of benchmarks/hostile.",
        "Error: There is no family 'nothing'; they are zoo, features, labels, images.",
    ]
