"""Which representation of handwritten digits should a classifier start from?

Four ways to turn 1,797 images of 8 x 8 pixels into features, ranked without training anything, beside what training
says: five-fold accuracy of a logistic regression.

    python examples/digits.py
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nrjax

images, labels = load_digits().images, load_digits().target
pixels = images.reshape(len(images), -1)
down, right = np.gradient(images, axis=(1, 2))
directions = np.floor((np.arctan2(down, right) / np.pi + 1) * 4).astype(int) % 8
edges = np.stack([(np.hypot(down, right) * (directions == d)).reshape(-1, 4, 2, 4, 2).sum((2, 4)) for d in range(8)], 1)
features = {
    "pixels": pixels,
    "edges by direction": edges.reshape(len(images), -1),
    "row and column sums": np.concatenate([images.sum(1), images.sum(2)], axis=1),
    "spectrum, without places": np.abs(np.fft.fft2(images)).reshape(len(images), -1),
}

ranking = nrjax.rank_batch(features, labels, scores=("probe", "silhouette", "knn"), confidence=True)
print(ranking)
print()
for name in ranking.order:
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    print(f"{cross_val_score(classifier, features[name], labels, cv=5).mean():.3f}  {name}")
