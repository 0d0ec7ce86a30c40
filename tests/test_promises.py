"""Every sentence of docs/promises.md has tests that keep it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
PAGE = ROOT.parent / "docs" / "promises.md"

# The first words of a promise, and the tests that fail where it is broken.
KEPT_BY = {
    "A silhouette differs": [
        "scoring/test_ranking.py::test_tolerance_is_kept_recorded_and_checked",
        "scoring/test_hard.py::test_right_or_said",
    ],
    "The check has two steps": [
        "scoring/test_host_silhouettes.py::test_scores_and_how_far_they_move_are_those_of_the_programs",
        "scoring/test_stream.py::test_hard_spectra",
    ],
    "With `jax_enable_x64`": [
        "scoring/test_scores.py::test_agrees_with_its_definition_in_x64",
        "kernels/test_score.py::test_x64_agrees_with_scikit_learn",
    ],
    "Every other score": [
        "scoring/test_hard.py::test_right_or_said",
        "scoring/test_hard.py::test_what_cannot_be_known_is_said",
    ],
    "Within that error": [
        "scoring/test_scores.py::test_what_must_not_change_a_score",
        "scoring/test_scores.py::test_models_together_are_those_alone",
        "scoring/test_ranking.py::test_adding_a_model_never_changes_anothers_score",
        "models/test_models.py::test_batches_and_padding_change_nothing",
        "scoring/test_mesh.py::test_scores_are_those_of_one_device",
    ],
    "Your own settings": ["test_jax_config.py::test_switches_change_nothing"],
    "nrjax also restores": [
        "test_side_effects.py::test_ranking_and_sweeping",
        "datasets/test_images.py::test_threads_leave_the_filters_of_warnings_as_they_are",
    ],
    "Intervals hold": [
        "scoring/test_confidence.py::test_accuracies_of_few_samples_are_as_sure_as_repeated_draws_say",
        "scoring/test_confidence.py::test_intervals_hold_where_classes_are_far_apart_and_noise_has_one_size",
        "scoring/test_imbalance.py::test_intervals_hold",
        "scoring/test_numbers.py::test_intervals_of_classes_of_few",
        "scoring/test_targets.py::test_intervals_of_numbers_hold",
        "scoring/test_agreement.py::test_statements_hold_as_often_as_they_say",
    ],
    "A broken model": [
        "scoring/test_ranking.py::test_a_broken_model_never_costs_the_others",
        "cli/test_cli.py::test_one_corrupt_model_out_of_five",
        "sweeps/test_sweep.py::test_deaths_of_workers",
    ],
    "An error about an argument": [
        "scoring/test_bad_input.py::test_rank_batch",
        "cli/test_cli.py::test_errors_are_one_line_and_debug_shows_the_traceback",
    ],
    "Causes that a program": [
        "test_errors.py::test_a_cause_has_its_class",
        "test_errors.py::test_all_are_of_one_family",
    ],
    "A sweep writes its progress": ["test_side_effects.py::test_sweeps_are_followed_by_logging"],
    "The command exits": [
        "cli/test_cli.py::test_one_corrupt_model_out_of_five",
        "cli/test_cli.py::test_usage_errors_exit_with_2",
    ],
    "A killed sweep": [
        "sweeps/test_sweep.py::test_a_driver_that_is_killed_goes_on",
        "sweeps/test_targets.py::test_a_race_that_was_killed_goes_on",
    ],
    "nrjax treats a zoo": [
        "benchmarks/test_hostile.py::test_damage_ends_in_a_ranking_or_in_a_sentence",
        "cli/test_cli.py::test_pickled_objects_are_refused_and_not_run",
        "datasets/test_images.py::test_what_is_no_regular_file_is_not_opened",
        "models/test_parts.py::test_pickled_weights_behind_are_refused",
    ],
    "Public are the names": ["test_public.py::test_nothing_public_changes_by_accident"],
}


def promises() -> list[str]:
    blocks = re.split(r"\n(?:\n|(?=- ))", PAGE.read_text().strip())
    return [block.removeprefix("- ").strip() for block in blocks if not block.startswith("#")]


@pytest.mark.fast
def test_every_promise_has_tests_and_they_exist():
    assert [promise for promise in promises() if not promise.startswith(tuple(KEPT_BY))] == []
    assert [words for words in KEPT_BY if not any(promise.startswith(words) for promise in promises())] == []
    for path, name in (test.split("::") for tests in KEPT_BY.values() for test in tests):
        tree = ast.walk(ast.parse((ROOT / path).read_text()))
        assert name in [node.name for node in tree if isinstance(node, ast.FunctionDef)], f"{path} has no {name}"
