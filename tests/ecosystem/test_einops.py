"""einops on arrays and traced values, through the backend of `weft.einops`."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from tests.ecosystem.agreement import assert_same, samples

einops = pytest.importorskip("einops", reason="the extra `ecosystem` brings einops")
import weft.einops  # noqa: E402

X = samples(4, 6, 3)

PROGRAMS = {
    "rearrange": lambda x: einops.rearrange(x, "b (h w) c -> b c w h", h=2),
    "new axes": lambda x: einops.rearrange(x, "b n c -> (c b) 1 n"),
    "a list": lambda x: einops.rearrange([x, x + 1], "two b n c -> b (two n) c"),
    "ellipsis": lambda x: einops.rearrange(x, "b ... -> ... b"),
    "repeat": lambda x: einops.repeat(x, "b n c -> b (n two) c k", two=2, k=3),
    "einsum": lambda x: einops.einsum(x, x, "b n c, b m c -> b n m"),
    "pack": lambda x: einops.pack([x, x[0]], "* n c")[0],
    "unpack": lambda x: einops.unpack(x, [(3,), ()], "* n c"),
    **{
        name: (lambda x, name=name: einops.reduce(x, "b (h two) c -> b h", name, two=2))
        for name in ("min", "max", "sum", "mean", "prod")
    },
    "any": lambda x: einops.reduce(x > 1, "b n c -> b", "any"),
    "all": lambda x: einops.reduce(x > -1, "b n c -> b 1 c", "all"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    assert_same(PROGRAMS[name], X)
    jitted = weft.jit(PROGRAMS[name])
    assert_same(lambda x: jitted(x) if isinstance(x, weft.Array) else PROGRAMS[name](x), X)


def test_transformations() -> None:
    def pooled(x: weft.Array) -> weft.Array:
        return einops.reduce(x, "(n two) c ->", "mean", two=2)

    x = wnp.asarray(X)
    np.testing.assert_allclose(weft.vmap(pooled)(x), X.mean((1, 2)))
    np.testing.assert_allclose(weft.grad(pooled)(x[0]), np.full((6, 3), 1 / 18))


def test_shapes_are_parsed_and_patterns_checked() -> None:
    assert einops.parse_shape(wnp.asarray(X), "b _ c") == {"b": 4, "c": 3}
    with pytest.raises(einops.EinopsError, match="Shape mismatch"):
        einops.rearrange(wnp.asarray(X), "b (h w) c -> b h w c", h=4)
    with pytest.raises(NotImplementedError, match="non-floating"):
        einops.reduce(wnp.arange(4), "n ->", "mean")
