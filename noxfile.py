"""The supported versions, by one command: `nox` (pip install nox uv), or `nox -s 'tests-3.12(lowest)'`.

`-- PATHS` chooses other tests.
Pythons that are not here are skipped, or fetched by uv where it may.
"""

from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
VERSIONS = {
    "lowest": ["jax==0.8.2", "jaxlib==0.8.2", "flax==0.12.6"],
    "newest": ["jax", "jaxlib", "flax"],
}
CORE = ["tests/kernels/test_score.py", "tests/kernels/test_silhouette.py", "tests/scoring/test_ranking.py",
        "tests/models/test_models.py", "tests/models/test_checkpoints.py", "tests/cli/test_cli.py",
        "tests/test_imports.py", "tests/test_docs.py"]  # fmt: skip


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
@nox.parametrize("versions", [nox.param(name, id=name) for name in VERSIONS])
def tests(session: nox.Session, versions: str) -> None:
    """What hangs on versions most: kernels, rankings, models, checkpoints, the command, the documentation."""
    session.install(".[test]", *VERSIONS[versions])
    session.run("pytest", "-q", *(session.posargs or CORE))


@nox.session(python="3.11")
def package(session: nox.Session) -> None:
    """An sdist and a wheel that install and pass the tests without the repository."""
    session.install("build")
    folder = Path(session.create_tmp()).absolute()
    session.run("rm", "-rf", *map(str, folder.iterdir()), external=True)
    session.run("python", "-m", "build", "--outdir", str(folder))
    session.install("--find-links", str(folder), "--no-index", "--no-deps", "--pre", "nrjax")
    session.install("nrjax[test]", "--find-links", str(folder))
    session.chdir(folder)
    (sdist,) = folder.glob("*.tar.gz")
    session.run("tar", "xzf", sdist.name, external=True)
    session.chdir(sdist.name.removesuffix(".tar.gz"))
    session.run("rm", "-r", "nrjax", external=True)  # what is tested is what was installed
    session.run("pytest", "-q", *(session.posargs or CORE))


@nox.session(python="3.11")
def coverage(session: nox.Session) -> None:
    """Shows which lines of nrjax the tests do not run; worker processes are not counted."""
    session.install("-e", ".[test]", "pytest-cov")
    session.run("pytest", "-q", "--cov=nrjax", "--cov-report=term-missing:skip-covered", *session.posargs)
