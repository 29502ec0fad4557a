"""Softmax attention from its definition, batched by `vmap`, differentiated by `grad`.

python examples/attention.py
"""

import weft
import weft.numpy as np


def attention(q, k, v):
    """One head: q, k and v have shape (positions, width)."""
    scores = q @ k.T / q.shape[-1] ** 0.5
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ v


def main():
    heads, positions, width = 4, 128, 32
    keys = weft.random.split(weft.random.key(0), 3)
    q, k, v = (weft.random.normal(key, (heads, positions, width)) for key in keys)

    many_heads = weft.jit(weft.vmap(attention))
    out = many_heads(q, k, v)
    print("output", out.shape, out.dtype)

    slope = weft.jit(weft.grad(lambda q: np.sum(weft.vmap(attention)(q, k, v) ** 2)))
    print("gradient", slope(q).shape)

    # The gradient predicts how the sum of squares changes along a small step.
    direction = weft.random.normal(weft.random.key(1), q.shape)
    before = np.sum(many_heads(q, k, v) ** 2)
    after = np.sum(many_heads(q + 1e-2 * direction, k, v) ** 2)
    print(f"measured change {float(after - before):+.4f}")
    print(f"predicted change {float(1e-2 * np.sum(slope(q) * direction)):+.4f}")


if __name__ == "__main__":
    main()
