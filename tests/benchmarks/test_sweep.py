"""What the benchmark of sweeps says is what was measured, and what is promised of races and deaths holds there."""

import json

from benchmarks.sweep import document, simulation
from benchmarks.sweep.__main__ import RESULTS

DOC = json.loads((RESULTS / "sweep.json").read_text(encoding="utf-8"))


def test_the_page_is_that_of_the_numbers():
    assert document.readme(DOC) == (RESULTS / "README.md").read_text(encoding="utf-8")


def test_races_and_deaths():
    race = DOC["race"]
    assert race["networks"] == 23
    assert len(race["targets"]) == 9
    assert min(told["3"]["same"] for told in race["targets"].values()) >= 0.99 * race["draws"]
    for told in DOC["faults"].values():
        assert told["kills"] == 50
        assert {told[what] for what in ("damaged", "lost", "twice", "other_rankings", "failed")} == {0}


def test_the_simulation_finds_the_limit():
    storage = simulation.Storage("fast", 1e12, 1e12)
    free = simulation._run(simulation.Kind("k", 1.0, 1e6), storage, 1e-6)
    assert (free["busy"], free["limit"]) == (1.0, "devices")
    slow = simulation._run(simulation.Kind("k", 1.0, 1e6), storage._replace(together=1e6), 1e-6)
    assert slow["limit"] == "storage"
    assert abs(slow["busy"] - 1 / 64) < 1e-3
    driver = simulation._run(simulation.Kind("k", 1.0, 1e6), storage, 1 / 32)
    assert driver["limit"] == "driver"
    assert abs(driver["busy"] - 0.5) < 0.01
