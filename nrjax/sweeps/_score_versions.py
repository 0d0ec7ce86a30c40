"""What decides the numbers of a score: settings, the version of nrjax, the code of a registered score."""

import dataclasses
import uuid

from nrjax._version import __version__
from nrjax.errors import FingerprintError
from nrjax.models import code_of, digest_of
from nrjax.scoring.model_scores import Request
from nrjax.scoring.scores import ScoreKind


def versions_of(request: Request) -> dict[str, str]:
    """As text, by score; a mean place is among models, and is not stored."""
    settings = str(dataclasses.asdict(request.settings))
    return {
        kind.name: f"nrjax {__version__} {settings if kind.name == 'silhouette' else _digest(kind)}"
        for kind in request.scores
        if kind.reads != "scores"
    }


def _digest(kind: ScoreKind) -> str:
    """Of the code of a score, which a user may have registered."""
    try:
        return digest_of(code_of(kind.kernel, kind.estimate))[:16]
    except FingerprintError:
        return uuid.uuid4().hex  # like no other
