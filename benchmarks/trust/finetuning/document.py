"""The page that readers see."""

from collections.abc import Mapping
from typing import Any

from benchmarks.paper.markdown import markdown
from benchmarks.trust.finetuning.judged import CEILING, RANDOM, STATIC, Judged, chosen_elsewhere, judged, means
from benchmarks.trust.finetuning.targets import TEXTS

BASELINES = (CEILING, RANDOM, STATIC, "largest model", "one epoch, a tenth", "best on its own data")


def readme(doc: Mapping[str, Any]) -> str:
    """Markdown of everything that was measured."""
    targets = {name: of for name, of in doc.items() if name != "made_with"}
    text = [
        "# What a ranking is worth to who fine-tunes", "",
        "Two truths of the same candidates. *Fine-tuning*: all weights are trained, a quarter of the labelled samples",
        "chooses learning rate and epochs, two seeds. *Heads*: all layers but the last are frozen, as in",
        "`python -m benchmarks.trust`. Both are accuracies on samples that nobody has trained on.",
        "`ceiling`: the agreement of two such truths, of one seed each and of disjoint halves of the samples that",
        "judge. Regret: points of accuracy that the first choice loses to the best candidate.", "",
        "17 candidates have one architecture (two convolutions, 28 × 28 grey pixels): nine bundled networks, three of",
        "them after 60 steps, three with a new dense layer, two untrained ones. With 200 labelled samples of F10 and",
        "C10 there are also EfficientNet-Lite 0 to 2 of ImageNet, which see the same pixels at 96 × 96: fine-tuning",
        "each takes a quarter of an hour on two cores. With 200 labelled samples of N there are all-MiniLM-L6-v2 cut",
        "after its embeddings and after each of its layers, and two of these drawn at random.", "",
        "Targets: MNIST, Fashion-MNIST and CIFAR-10 (M10, F10, C10), digits of 8 × 8 (D), letters (L), BBC News (N).",
        "Baselines: the mean place on the other targets (`static list`), the number of parameters where it differs",
        "(`largest model`), one epoch of fine-tuning on a tenth of the labelled samples, the accuracy on its own data.",
        "A row is the mean of the targets that have it: `h_score` means nothing with fewer samples than dims, and no",
        "other target has the candidates of N.", "",
        *(f"- {name}: `{made['command']}` at commit {made['commit']}, {made['seconds']:,} s, {made['device']}"
          + (", with what an earlier run had measured." if made.get("resumed") else ".")
          for name, made in doc["made_with"].items()), "",
    ]  # fmt: skip
    few = {name: of[min(of, key=int)] for name, of in targets.items()}
    many = {name: of[max(of, key=int)] for name, of in targets.items() if len(of) > 1}
    for of_targets, title in ((few, "200 labelled samples"), (many, "2,000 labelled samples (898 of D)")):
        tuned, head = judged(of_targets, "fine_tuned"), judged(of_targets, "head")
        text += [f"## {title}", "", *_overall(means(tuned), means(head)), "", "Weighted tau with fine-tuning:", "",
                 *_by_target(tuned, "weighted_tau", 2), "", "Regret, points, with fine-tuning:", "",
                 *_by_target(tuned, "regret", 1), "", _elsewhere("fine-tuning", tuned), _elsewhere("heads", head), "",
                 "Accuracies:", "", *_accuracies(of_targets)]  # fmt: skip
    return "\n".join(text).rstrip() + "\n"


def _overall(tuned: Judged, head: Judged) -> list[str]:
    rows = []
    for name in sorted(tuned, key=lambda name: -tuned[name]["weighted_tau"]):
        by_head = [f"{head[name][m]:.2f}" for m in ("weighted_tau", "worst", "regret")] if name in head else [""] * 3
        rows.append([name, *(f"{tuned[name][m]:.2f}" for m in ("weighted_tau", "worst", "regret")), *by_head])
    columns = [f"{what}, {truth}" for truth in ("fine-tuning", "heads") for what in ("tau", "worst tau", "regret")]
    return [markdown(["", *columns], rows)]


def _by_target(judged: Mapping[str, Judged], measure: str, digits: int) -> list[str]:
    names = list(dict.fromkeys(name for of in judged.values() for name in of))
    rows = [[name, *(f"{of[name][measure]:.{digits}f}" if name in of else "" for of in judged.values())]
            for name in names]  # fmt: skip
    return [markdown(["", *judged], rows)]


def _elsewhere(truth: str, judged: Mapping[str, Judged]) -> str:
    scores = [
        name for name in means(judged)
        if name not in BASELINES and not name.startswith("the truth") and all(name in of for of in judged.values())
    ]  # fmt: skip
    found = chosen_elsewhere(judged, scores)
    mean = sum(tau for _, tau in found.values()) / len(found)
    words = ", ".join(f"{score} for {target} ({tau:.2f})" for target, (score, tau) in found.items())
    return f"- The score that orders the other targets best by {truth}: {words}; weighted tau {mean:.2f} in the mean."


def _accuracies(of_targets: Mapping[str, Any]) -> list[str]:
    """A table of images, and one of texts."""
    texts = {name: of for name, of in of_targets.items() if name == TEXTS}
    images = {name: of for name, of in of_targets.items() if name != TEXTS}
    return [line for group in (images, texts) if group for line in (_accuracy_table(group), "")]


def _accuracy_table(of_targets: Mapping[str, Any]) -> str:
    def cell(of: Mapping[str, Any] | None) -> str:
        return "" if of is None else f"{of['fine_tuned']:.3f}, {of['head']:.3f}"

    names = list(dict.fromkeys(model for of in of_targets.values() for model in of))
    rows = [[model, *(cell(of.get(model)) for of in of_targets.values())] for model in names]
    return markdown(["fine-tuned, head", *of_targets], rows)
