"""Accuracy after transfer: all layers frozen, the logits layer retrained for the target's classes (§4.3).

With the layers before it frozen, retraining the logits layer is multinomial logistic regression on their
outputs: convex, so it is solved to convergence (scikit-learn's L-BFGS, its default ridge of C = 1 on
standardised features) instead of by a number of SGD steps that would be one more thing to choose.
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MAX_ITERATIONS = 5000


def transfer_accuracy(
    train_features: np.ndarray, train_labels: np.ndarray, test_features: np.ndarray, test_labels: np.ndarray
) -> float:
    """Share of test samples that the retrained logits layer gets right.

    Raises:
      ConvergenceWarning: as an error, if the solver stops before it has converged.
    """
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=MAX_ITERATIONS, tol=1e-4))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        head.fit(train_features, train_labels)
    return float(head.score(test_features, test_labels))
