"""The scores that are computed where none are named, and why."""

from nrjax.targets import Target

UNLABELLED = ("clusters", "stability")


def default_scores(target: Target, *, beside: bool = False) -> tuple[str, ...]:
    """Names of the scores for a target; the first one orders.

    Args:
      target: what is ranked by.
      beside: with a score beside the first that knows more dimensions and costs more, as `rank` and `sweep` show it.
        Where the classes are of very different sizes, these are ordered by the balanced one.
    """
    if target.task == "clusters":
        return UNLABELLED
    if target.task != "classification":
        return ("probe",)
    if not beside:
        return ("silhouette",)
    return ("balanced_probe", "silhouette", "probe") if _by_balanced(target) else ("silhouette", "probe")


def why_default(target: Target, *, beside: bool = False) -> str | None:
    """The line that says why another score than usual is the default; None where it is the usual one."""
    if target.task == "classification" and beside and _by_balanced(target):
        assert target.majority is not None
        return (
            f"The largest of {target.n_classes} classes has {100 * target.majority:.1f} % of the samples, so that the "
            "accuracy of every model is near that: models are ordered by balanced_probe, which counts classes alike."
        )
    return None


def _by_balanced(target: Target) -> bool:
    """Whether classes are of very different sizes, and all of them have the two samples that probes need."""
    return target.is_imbalanced and int(target.counts.min()) >= 2
