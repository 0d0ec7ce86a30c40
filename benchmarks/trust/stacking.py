"""Do several scores together order better than one? Fitted on some data sets, judged on another.

`average of ranks` needs no fitting. `stacked` predicts the accuracy of the head, beside the mean of the target's
candidates, by ridge regression on the scores that most candidates have: `probe` and `knn` as they are, the others
standardised within the target.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats
from sklearn.linear_model import Ridge

from benchmarks.trust.agreement import Case
from benchmarks.trust.judge import MEASURES, measures

SETS = {
    "silhouette + probe": ("silhouette", "probe"),
    "probe + logme": ("probe", "logme"),
    "silhouette + probe + knn + logme": ("silhouette", "probe", "knn", "logme"),
    "all": ("silhouette", "probe", "knn", "logme", "regularized_h_score", "transrate", "gbc"),
}
AS_THEY_ARE = ("probe", "knn")


def stacked(of: Sequence[Case]) -> dict[str, dict[str, Any]]:
    """Score, average of ranks and stacked prediction to the mean measures over data sets, and regret by data set."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for data in sorted({case.data for case in of}):
        others, own = [c for c in of if c.data != data], [c for c in of if c.data == data]
        models = {name: _model(others, scores) for name, scores in SETS.items()}
        for case in own:
            accuracy = dict(zip(case.names, case.accuracy.tolist(), strict=True))

            columns = {score: np.array([scores[score] for scores in case.scores]) for score in SETS["all"]}
            for name, scores in SETS.items():
                ranks = [stats.rankdata(columns[score]) for score in scores]
                columns[f"average of ranks: {name}"] = np.mean(ranks, axis=0)
                columns[f"stacked: {name}"] = models[name].predict(_columns(case, scores))
            for name, values in columns.items():
                judged = measures(dict(zip(case.names, values.tolist(), strict=True)), accuracy)
                found.setdefault(name, {}).setdefault(data, []).append(judged)
    return {
        name: {m: round(float(np.mean([np.mean([one[m] for one in some]) for some in by_data.values()])), 4)
               for m in MEASURES}
        | {"by_data": {data: round(float(np.mean([one["weighted_tau"] for one in some])), 3)
                       for data, some in by_data.items()}}
        for name, by_data in found.items()
    }  # fmt: skip


def _model(of: Sequence[Case], scores: Sequence[str]) -> Ridge:
    columns = np.concatenate([_columns(case, scores) for case in of])
    return Ridge(1.0).fit(columns, np.concatenate([case.accuracy - case.accuracy.mean() for case in of]))


def _columns(case: Case, scores: Sequence[str]) -> np.ndarray:
    columns = np.array([[one[score] for score in scores] for one in case.scores], float)
    columns -= columns.mean(axis=0)
    scale = np.where([score in AS_THEY_ARE for score in scores], 1.0, np.maximum(columns.std(axis=0), 1e-9))
    return columns / scale
