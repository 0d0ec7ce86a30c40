"""The page that readers see."""

from collections.abc import Mapping
from typing import Any

from benchmarks.sources.images import TARGETS


def readme(doc: Mapping[str, Any]) -> str:
    """Markdown of everything that was measured."""
    parts = {
        "images": _images, "texts": _texts, "rival": _rival, "rival-targets": _rival_targets, "speed": _speed,
        "photographs": _photographs,
    }  # fmt: skip
    text = ["# Models and data of other frameworks", ""]
    for part, write in parts.items():
        if part in doc:
            made = doc["made_with"][part]
            versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
            text += [*write(doc[part]), "",
                     f"Made by `{made['command']}` at commit {made['commit']} in "
                     f"{made['seconds']:,} s on {made['device']}; "
                     f"{versions}.", ""]  # fmt: skip
    return "\n".join(text)


def _table(columns: list[str], rows: list[list[Any]]) -> list[str]:
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
    return lines + [f"| {' | '.join(map(str, row))} |" for row in rows]


def _images(found: Mapping[str, Any]) -> list[str]:
    names = [model["name"] for model in found[TARGETS[0]]["models"]]
    by_name = {t: {m["name"]: m for m in found[t]["models"]} for t in found}
    names.sort(key=lambda name: -sum(by_name[t][name]["scores"]["probe"] for t in found))
    shown = "{rank}: {score:.4f}, {probe:.3f}"
    rows = [
        [name, *(shown.format(**by_name[t][name], probe=by_name[t][name]["scores"]["probe"]) for t in found)]
        for name in names
    ]
    apart = ", ".join(f"{found[t]['apart']:.1e}" for t in found)
    size = ", ".join(f"{found[t]['size']:.3g}" for t in found)
    changes = {
        score: max(abs(a - b) for t in found for a, b in found[t]["bfloat16"][score].values())
        for score in ("silhouette", "probe")
    }
    moved = [
        f"{t}: {', '.join(found[t]['orders'][1])}" for t in found if found[t]["orders"][0] != found[t]["orders"][1]
    ]
    same = len(found) - len(moved)
    return [
        "## One ranking of PyTorch, ONNX and Flax", "",
        f"{found[TARGETS[0]]['samples']:,} test images of each data set; penultimate layers. Place and silhouette, "
        "then `probe`. EfficientNet-Lite of ImageNet see them at 112 x 112; `lite0 in ONNX` is `lite0`, exported.", "",
        *_table(["", *found], rows), "",
        f"Features of `lite0` and of its export differ by {apart} at most, where the largest are {size}.", "",
        f'With `precision="bfloat16"` silhouettes change by {changes["silhouette"]:.4f} and `probe` by '
        f"{changes['probe']:.4f} at most; {same} of {len(found)} orders stay the same"
        + (f" (else {'; '.join(moved)})." if moved else "."),
    ]  # fmt: skip


def _texts(found: Mapping[str, Any]) -> list[str]:
    columns = ["silhouette", "probe", "knn", "logme", "regularized_h_score", "head"]
    rows = [[row["model"], row["layer"], *(f"{row[c]:.3f}" for c in columns)] for row in found["rows"]]
    return [
        "## Texts", "",
        f"BBC News, {found['samples']:,} documents in five classes: all-MiniLM-L6-v2 at every layer, the same "
        "architecture with random weights, TF-IDF with 300 components. `head`: five-fold cross-validated accuracy of "
        "scikit-learn's logistic regression on the same features.", "",
        *_table(["model", "layer", *columns], rows), "",
        f"The pooled embedding differs from sentence-transformers' own by {found['apart']:.1e} at most.", "",
        "```", found["text"], "```",
    ]  # fmt: skip


def _rival(found: Mapping[str, Any]) -> list[str]:
    rows = [[name, f"{found['theirs'][name]:.6f}", f"{found['ours'][name]:.6f}"] for name in found["ours"]]
    median = {who: sorted(times)[len(times) // 2] for who, times in found["seconds"].items()}
    explained = ", ".join(f"{name}: {value:.6f}" for name, value in found["explained"].items())
    return [
        "## Beside transformer-ranker", "",
        f"{found['texts']} documents, last layer of MiniLM. Values from equal features:", "",
        *_table(["", "transformer-ranker", "nrjax"], rows), "",
        "Its H-score is the regularised one. Its neighbours are three by Euclidean distance, ours five by cosine; "
        f"voted in NumPy: {explained}.", "",
        f"From texts to the best layer by LogME: {median['transformer-ranker']:.1f} s and {median['nrjax']:.1f} s "
        "for 512 tokens of every text "
        f"(medians of {len(found['seconds']['nrjax'])} by turns; ours scores the embeddings too).",
    ]  # fmt: skip


def _rival_targets(found: Mapping[str, Any]) -> list[str]:
    values = [
        [kind, f"{of['samples']:,}", score, f"{of['theirs'][score]:.6f}", f"{of['ours'][score]:.6f}"]
        for kind, of in found.items() for score in of["ours"]
    ]  # fmt: skip
    median = {
        kind: {who: sorted(times)[len(times) // 2] for who, times in of["seconds"].items()}
        for kind, of in found.items()
    }
    seconds = [
        [kind, *(f"{median[kind][who]:.1f}" for who in ("transformer-ranker", "nrjax")),
         *(f"{of['best'][who]:.4f}" for who in ("transformer-ranker", "nrjax"))] for kind, of in found.items()
    ]  # fmt: skip
    euclidean = next(iter(found["numbers"]["explained"].values()))
    runs = len(found["words"]["seconds"]["nrjax"])
    return [
        "## Beside transformer-ranker: words, pairs, numbers", "",
        "Names in messages (a tag a word), pairs of news by whether they have one topic, the length of an article by "
        "its first 100 words; MiniLM, whose weights lie here. Values from equal features of its last layer:", "",
        *_table(["", "samples", "score", "transformer-ranker", "nrjax"], values), "",
        f"Vectors of words differ by {found['words']['apart']:.1e} at most, where the largest number is "
        f"{found['words']['size']:.1f}. Its vectors of texts are means over words, ours over tokens with the first and "
        "the last. It joins a pair to one text; ours has a vector of each. Its neighbours are three by Euclidean "
        f"distance, ours five by cosine: by our kernel with its settings {euclidean:.6f} for the numbers. Of two "
        "classes it gives the F1 of the second, ours is the accuracy. Its LogME "
        "stops after eleven steps or at the first fixed point, ours is the largest evidence.", "",
        "Seconds from texts to the best layer by LogME, and its value there "
        f"({'medians of ' + str(runs) + ' by turns' if runs > 1 else 'one run each'}; ours compiles in the first):", "",
        *_table(["", "transformer-ranker, s", "nrjax, s", "its LogME", "our LogME"], seconds),
    ]  # fmt: skip


def _speed(rows: list[Mapping[str, Any]]) -> list[str]:
    table = [
        [r["source"], f"{r['samples']:,}", f"{r['by_hand']:,.0f}", f"{r['ours']:,.0f}",
         f"{r['ratio']:.2f} ({r['quartiles'][0]:.2f} to {r['quartiles'][1]:.2f})", f"{r['apart']:.0e}"] for r in rows
    ]  # fmt: skip
    return [
        "## Samples a second", "",
        "From samples in memory to features of the penultimate layer, preprocessing included; medians of "
        f"{min(len(r['ratios']) for r in rows)} runs or more by turns, and the ratio's quartiles in brackets. By hand: "
        "a loop over batches of 64 with the framework alone.", "",
        *_table(["source", "samples", "by hand", "nrjax", "ratio", "features differ by"], table),
    ]  # fmt: skip


def _photographs(found: Mapping[str, Any]) -> list[str]:
    rows = [[name, f"{found['samples'] / seconds:,.0f}"] for name, seconds in found["seconds"].items()]
    return [
        "## Photographs", "",
        f"{found['samples']:,} JPEGs of {found['side']} x {found['side']} in a folder, {found['arrays_gb']:.1f} GB as "
        f"arrays, through a bundled CNN (28 x 28) and EfficientNet-Lite0 (64 x 64). Checking all of them took "
        f"{found['loading']:.0f} s, scoring {found['scoring']:.0f} s; the memory was {found['peak_gb']:.2f} GB at its "
        "peak.", "",
        *_table(["model", "images a second, from files"], rows), "", "```", found["text"], "```",
    ]  # fmt: skip
