"""What tells a candidate from others before it is loaded: its fingerprint, its files, and what it may have died of."""

from collections.abc import Mapping

from nrjax._utils.paths import walk_files
from nrjax._version import __version__
from nrjax.models import Candidates, Zoo, as_model, digest_of
from nrjax.ranking import state_of
from nrjax.sweeps._store import Store


def key_of(candidates: Mapping[str, object], name: str) -> str:
    """Where a candidate lies; empty for what is no file."""
    return candidates.key(name) if isinstance(candidates, (Candidates, Zoo)) else ""


def fingerprint_of(candidates: Mapping[str, object], name: str, store: Store, key: str) -> str | None:
    """Of a candidate whose files are those that it was read from, or that is there alive; else it must be loaded."""
    if key:
        return store.fingerprint(key)
    if not isinstance(candidates, (dict, Candidates)):
        return None
    try:
        return as_model(candidates[name]).fingerprint
    except Exception:  # which is told when it is its turn
        return None


def identity_of(
    candidates: Mapping[str, object], name: str, key: str, fingerprint: str | None, conditions: str
) -> str | None:
    """Of a candidate that may die: its content, and the engine and the limits that it has.

    None where the content is not known: a name alone is everybody's.
    """
    if not key and not fingerprint:
        return None
    place = candidates.path / name if isinstance(candidates, Zoo) else None
    place = candidates.place(name) if isinstance(candidates, Candidates) else place
    content = f"{key} {state_of(walk_files(place) if place else ())}" if key else fingerprint
    return digest_of([f"{content} {conditions} nrjax {__version__}"])
