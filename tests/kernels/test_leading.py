import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nrjax.kernels import _leading
from nrjax.kernels._leading import leading_vectors
from nrjax.scoring.walk import conditions

ROWS, EXACT, WANTED = 256, 10, 20
J = np.arange(1, ROWS + 1)
SPECTRA = {  # of squares
    "white noise": np.linspace(2.2, 0.2, ROWS) ** 2,
    "power law": 1 / J,
    "steep": 10.0 ** -(J / 8.0),
    "nine of a hundred": np.where(J <= 9, 100.0 - J, 2 - J / ROWS),
    "one of a million": np.where(J == 1, 1e6, 2 - J / ROWS),
    "a tie inside": np.where(J <= 3, 5.0, 1 / J),
    "hopeless": np.linspace(1, 0.97, ROWS),
    "all the same": np.ones(ROWS),
}

leading = jax.jit(leading_vectors, static_argnums=(1, 2))


def gram_of(squares: np.ndarray, seed: int = 0) -> np.ndarray:
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(squares), len(squares))))[0]
    return (basis * squares) @ basis.T


def lacks(squares: np.ndarray, gram: np.ndarray, vectors) -> float:
    """Share of the sum of the leading eigenvalues that the span of the vectors has not: the square of an angle."""
    vectors = np.asarray(vectors, np.float64)
    basis = np.linalg.qr(vectors)[0]
    np.testing.assert_allclose(abs(basis.T @ vectors), np.eye(WANTED), atol=1e-5)  # orthonormal already
    return 1 - np.linalg.eigvalsh(basis.T @ gram @ basis)[::-1][:EXACT].sum() / np.sort(squares)[::-1][:EXACT].sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", SPECTRA)
def test_spans_the_leading_eigenvectors(case, dtype):
    gram = gram_of(SPECTRA[case])
    with conditions(dtype):
        vectors = leading(jnp.asarray(gram, dtype), EXACT, WANTED)
    assert vectors.dtype == dtype
    allowed = {np.float32: 5e-6 if case == "one of a million" else 1e-9, np.float64: 1e-14}  # where 2 is a rounding
    assert lacks(SPECTRA[case], gram, vectors) < allowed[dtype]


@pytest.mark.parametrize("case", ["white noise", "power law", "steep"])
def test_needs_no_decomposition(case, monkeypatch):
    monkeypatch.setattr(_leading, "_decomposed", lambda gram, n_wanted: jnp.full((ROWS, n_wanted), jnp.nan, gram.dtype))
    gram = gram_of(SPECTRA[case])
    vectors = jax.jit(lambda gram: leading_vectors(gram, EXACT, WANTED))(jnp.asarray(gram, jnp.float32))
    assert lacks(SPECTRA[case], gram, vectors) < 1e-9


def test_nothing_to_find():
    assert np.all(np.isfinite(leading(jnp.zeros((ROWS, ROWS)), EXACT, WANTED)))
    three = np.where(J <= 3, 1.0 * J, 0)
    assert lacks(three, gram_of(three), leading(jnp.asarray(gram_of(three), jnp.float32), EXACT, WANTED)) < 1e-9


def test_of_a_batch_every_model_gets_its_own():
    """Some converge at once, some late, and where one needs a decomposition all may get one."""
    for cases in (["white noise", "power law", "steep"], ["power law", "hopeless"]):
        stack = np.stack([gram_of(SPECTRA[case]) for case in cases])
        found = jax.vmap(lambda gram: leading_vectors(gram, EXACT, WANTED))(jnp.asarray(stack, jnp.float32))
        for case, gram, vectors in zip(cases, stack, found, strict=True):
            assert lacks(SPECTRA[case], gram, vectors) < 1e-9


def test_has_the_derivatives_of_a_decomposition():
    gram, change = gram_of(SPECTRA["power law"]), gram_of(np.sin(J), seed=1)

    def largest_of(t):
        moved = jnp.asarray(gram) + t * jnp.asarray(change)
        vectors = leading_vectors(moved, EXACT, WANTED)[:, :EXACT]
        return jnp.sum(vectors * (jnp.asarray(change) @ vectors))

    with conditions(np.float64):
        slope = jax.grad(largest_of)(0.0)
        step = 1e-5
        assert float(slope) == pytest.approx(float(largest_of(step) - largest_of(-step)) / (2 * step), rel=1e-4)
