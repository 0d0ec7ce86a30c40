"""What comes out of a sweep: a ranking, who stopped early, how much was there already."""

import dataclasses
from collections.abc import Mapping

from nrjax.results import Ranking
from nrjax.sweeps._race import Standing


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The result of a sweep.

    Attributes:
      ranking: of the candidates that were scored on all samples, and of those that failed.
      dropped: candidates that stopped early: name to the number of samples, the score, and the candidates ahead of it.
      computed: number of results that this sweep computed.
      stored: number of results that it took from the store.

    Examples:
      >>> swept = nrjax.sweep(zoo, images, labels, scores="silhouette", top=1)
      >>> swept.ranking.best, sorted(swept.dropped)
      ('F0-4', ['C0-4', 'C10', 'C5-9', 'F10', 'F5-9', 'M0-4', 'M10', 'M5-9'])
    """

    ranking: Ranking
    dropped: Mapping[str, Standing] = dataclasses.field(default_factory=dict)
    computed: int = 0
    stored: int = 0

    @property
    def failed(self) -> dict[str, str]:
        """Reason for every candidate that could not be scored."""
        return self.ranking.failed

    def __str__(self) -> str:
        return "\n".join([str(self.ranking), *self.remarks])

    @property
    def remarks(self) -> list[str]:
        """What there is to say beside the ranking."""
        return remarks_of(self.ranking, self.dropped)


def remarks_of(ranking: Ranking, dropped: Mapping[str, Standing]) -> list[str]:
    """A line for every round of a race that stopped candidates, about the one that came nearest."""
    lines, made = [], ranking.settings
    for samples in sorted({standing.samples for standing in dropped.values()}):
        stopped = {name: standing for name, standing in dropped.items() if standing.samples == samples}
        near, standing = min(stopped.items(), key=lambda named: named[1].behind[1])
        lines.append(
            f"Stopped after {samples:,} samples, too far behind to be among the first {made['top']}: {len(stopped):,}. "
            f"The nearest, {near}, had a {made['by']} of {standing.score:.4f}, {standing.behind[1]:.1f} standard "
            f"deviations behind {standing.ahead}."
        )
    return lines
