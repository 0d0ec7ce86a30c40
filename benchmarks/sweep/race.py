"""Races of the paper's 23 networks on its nine targets: the same first ones as without a race, for how many passes.

Another draw is another order of the test images, of which the race takes the first few hundred, and so on.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import nrjax
from benchmarks.paper.zoos import CLASSES, DATASETS, IMAGE_SIZE, VARIANTS
from nrjax.kernels import ScoreSettings
from nrjax.models import Inputs, Layer, Model
from nrjax.scoring.silhouette_programs import Task
from nrjax.scoring.silhouettes import score_arrays
from nrjax.sweeps._race import LEVEL, round_sizes

VARIANTS_RACED, NETWORKS = ("full", "lite", "512"), 23


class Known(Model):
    """A network whose features are known: samples are their numbers."""

    pure = True

    def __init__(self, name: str, features: np.ndarray):
        self._name, self._features = name, features
        self.inputs = Inputs("array", (1,), "none", lambda samples: np.asarray(samples))
        self.passes = 0

    def layers(self, input_shape: Sequence[int] | None = None) -> list[Layer]:
        """One."""
        return [Layer("features", self._features.shape[1:])]

    def outputs(self, batch: Any, layers: Sequence[Any], precision: str = "float32") -> list[np.ndarray]:
        """The features of those numbers."""
        self.passes += len(batch)
        return [self._features[np.asarray(batch)[:, 0]]] * len(layers)

    def parts(self) -> Iterator[str]:
        """Its name."""
        yield self._name


def race(
    zoos: Path, targets: Sequence[str], tops: Sequence[int], draws: int, data_dir: str | None,
    on_done: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    """By target and number of models that are wanted: draws with the same first ones, and the share of the passes."""
    found: dict[str, Any] = {}
    for target, features, labels in _on_targets(zoos, targets, data_dir):
        found[target] = _raced(features, labels, tops, draws)
        on_done(f"{target}: {found[target]}")
    return found


def needed(zoos: Path, targets: Sequence[str], tops: Sequence[int], data_dir: str | None) -> dict[str, Any]:
    """Images after which a race can tell the last network that is wanted from the next, by target and number.

    From what all images say of the two: the race drops one after n of N images if z standard deviations of what is
    still to come are less than the gap, z sd sqrt(N / n - 1) < gap, sd being the deviation of the gap on N images.
    """
    found: dict[str, Any] = {}
    for target, features, labels in _on_targets(zoos, targets, data_dir):
        ids, classes = labels - labels.min(), int(np.ptp(labels)) + 1
        scored = {
            name: score_arrays([one], Task(ids.astype(np.int32), classes, ScoreSettings(), influence=True))[0]
            for name, one in features.items()
        }
        order = sorted(scored.values(), key=lambda score: -score.value)
        samples = len(labels)
        z = stats.norm.isf((1 - LEVEL) / (len(features) * len(round_sizes(samples, classes))))
        found[target] = {}
        for top in tops:
            last, following = order[top - 1 : top + 1]
            assert last.influence is not None  # it was asked for
            assert following.influence is not None
            apart = np.asarray(last.influence.influences, np.float64) - following.influence.influences
            ratio = z * np.sqrt(np.sum(apart**2) / (samples * (samples - 1))) / (last.value - following.value)
            found[target][str(top)] = round(samples * ratio**2 / (1 + ratio**2))
    return found


def _on_targets(
    zoos: Path, targets: Sequence[str], data_dir: str | None
) -> Iterator[tuple[str, dict[str, np.ndarray], np.ndarray]]:  # fmt: skip
    """Features of the networks on the test images of each target, and labels."""
    for letter, dataset in DATASETS.items():
        wanted = {suffix: classes for suffix, classes in CLASSES.items() if f"{letter}{suffix}" in targets}
        if not wanted:
            continue
        images, labels, _ = nrjax.load_dataset(
            dataset, "test", image_size=IMAGE_SIZE, grayscale=True, data_dir=data_dir
        )
        features = {
            f"{variant}/{name}": nrjax.extract_features(model, images)
            for variant in VARIANTS_RACED
            for name, model in nrjax.load_zoo(zoos / variant / "seed-0").items()
        }
        assert len(features) == NETWORKS
        for suffix, classes in wanted.items():
            first, last = map(int, classes.split("-"))
            rows = np.flatnonzero((labels >= first) & (labels <= last))
            yield f"{letter}{suffix}", {name: one[rows] for name, one in features.items()}, labels[rows]


def _raced(
    features: dict[str, np.ndarray], labels: np.ndarray, tops: Sequence[int], draws: int
) -> dict[str, Any]:  # fmt: skip
    whole = nrjax.rank_batch(features, labels).scores
    order = list(whole)
    told: dict[str, Any] = {"samples": len(labels), "gaps": {
        str(top): round(whole[order[top - 1]] - whole[order[top]], 4) for top in tops}}  # fmt: skip
    everything = len(features) * len(labels)
    same, missed, passes, known = ({top: [] for top in tops} for _ in range(4))
    for draw in range(draws):
        rows = np.random.default_rng(draw).permutation(len(labels))
        with tempfile.TemporaryDirectory() as folder:  # of one draw: what one race computed the next need not
            for top in sorted(tops, reverse=True):
                models = {name: Known(name, one) for name, one in features.items()}
                swept = nrjax.sweep(
                    models, rows[:, None], labels[rows], top=top, layer="features", scores="silhouette",
                    store=f"{folder}/results.db", progress=False,
                )  # fmt: skip
                took = _passes(swept, len(labels))
                measured = sum(model.passes for model in models.values())
                assert measured == took if top == max(tops) else measured <= took
                lost = sorted(set(order[:top]) & set(swept.dropped))
                same[top].append(set(swept.ranking.order[:top]) == set(order[:top]))
                missed[top] += [lost] if lost else []
                passes[top].append(took)
                known[top].append(_until_known(swept, took, top, len(labels)))
    for top in tops:
        told[str(top)] = {
            "same": sum(same[top]), "known": round(everything / float(np.mean(known[top])), 2),
            "fewer": round(everything / float(np.mean(passes[top])), 2), "missed": missed[top][:3],
        }  # fmt: skip
    return told


def _passes(swept: nrjax.Sweep, samples: int) -> int:
    """Samples that went through models in all: a round's features begin with those of the round before."""
    return sum(one.samples for one in swept.dropped.values()) + samples * len(swept.ranking.order)


def _until_known(swept: nrjax.Sweep, passes: int, top: int, samples: int) -> int:
    """Passes until it was known which come first: without those of the first ones on the rest of the samples."""
    last = max((one.samples for one in swept.dropped.values()), default=samples)
    alive = len(swept.ranking.order)
    return passes - alive * (samples - last) if alive <= top else passes


assert set(VARIANTS_RACED) < set(VARIANTS)
