"""From tokens to one vector a sample: the ways to pool."""

from typing import Any

POOLINGS = ("mean", "cls", "last", "max", "weightedmean", "mean_sqrt_len")
LAYER_POOLINGS = ("flatten", "mean", "max", "cls", "last")  # of layers of any network


def check_pooling(pooling: object, who: str) -> None:
    """Raises ValueError unless a pooling is known; several are joined by `+`."""
    if pooling is not None and set(str(pooling).split("+")) - set(POOLINGS):
        raise ValueError(
            f"{who}: pooling must be of {', '.join(POOLINGS)}, or several such as cls+mean; got {pooling!r}."
        )


def pool(state: Any, mask: Any, pooling: str) -> Any:
    """One vector a sample of a hidden state: `[samples, tokens, dims]`, or `[samples, dims, height, width]`.

    Args:
      state: of one layer.
      mask: `[samples, tokens]`, 0 for padding, which may be on either side; None where there is no padding.
      pooling: of `POOLINGS`: `weightedmean` weighs tokens by their place, 1, 2, ...; `mean_sqrt_len` is the sum over
        the square root of the number of tokens. Several, joined by `+`, are concatenated.
    """
    if state.ndim == 2:
        return state
    if state.ndim == 4:
        return state.float().mean(dim=(2, 3))
    state = state.float()
    mask = state.new_ones(state.shape[:2]) if mask is None else mask.to(state.dtype)
    first, *others = (_pool_tokens(state, mask, part) for part in pooling.split("+"))
    if not others:
        return first
    import torch  # pyright: ignore[reportMissingImports]

    return torch.cat([first, *others], dim=1)


def _pool_tokens(state: Any, mask: Any, pooling: str) -> Any:
    if pooling == "cls":
        return state[:, 0]
    places = mask.cumsum(dim=1) * mask  # 1, 2, ... of the tokens, 0 of padding
    if pooling == "last":
        return state[range(len(state)), places.argmax(dim=1)]
    if pooling == "max":
        return state.masked_fill(mask[:, :, None] == 0, -float("inf")).amax(dim=1)
    weights = places if pooling == "weightedmean" else mask
    total = weights.sum(dim=1).clamp(min=1e-9)
    total = total.sqrt() if pooling == "mean_sqrt_len" else total
    return (state * weights[:, :, None]).sum(dim=1) / total[:, None]


def check_layer_pooling(pooling: object) -> None:
    """Raises ValueError unless a pooling is one of layers of any network."""
    if pooling not in LAYER_POOLINGS:
        raise ValueError(
            f"pooling must be of {', '.join(LAYER_POOLINGS)}; got {pooling!r}. Those with weights and sums are of "
            "networks of texts of Hugging Face."
        )


def pool_layer(value: Any, pooling: str | None, *, channels_first: bool) -> Any:
    """The output of a layer as `[samples, dims]`, of NumPy, JAX or PyTorch.

    Args:
      value: `[samples, dims]`, tokens `[samples, tokens, dims]`, or a map with two axes of places and more.
      pooling: of `LAYER_POOLINGS`; None flattens.
      channels_first: whether channels of a map are behind the samples.
    """
    if pooling in (None, "flatten") or value.ndim <= 2:
        return value.reshape(len(value), -1)
    if pooling in ("cls", "last"):
        if value.ndim > 3:
            raise ValueError(f"pooling {pooling!r} is of tokens, and the layer is a map; take mean, max or flatten.")
        return value[:, 0 if pooling == "cls" else -1]
    axes = (
        (1,) if value.ndim == 3 else tuple(range(2, value.ndim)) if channels_first else tuple(range(1, value.ndim - 1))
    )
    if pooling == "mean":
        return value.mean(axes)
    return value.amax(axes) if hasattr(value, "amax") else value.max(axes)
