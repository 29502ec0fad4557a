"""Dynamic programs, graphs, clusters and fixed points."""

from __future__ import annotations

import numpy as np

import weft
import weft.numpy as wnp
from tests.programs.agreement import agree
from weft import lax

F32, I32 = np.float32, np.int32


def test_edit_distance_by_nested_scans() -> None:
    random = np.random.default_rng(0)
    a, b = random.integers(0, 4, 19).astype(I32), random.integers(0, 4, 15).astype(I32)

    def distance(a, b):
        def next_row(row, letter):
            best = wnp.minimum(row[:-1] + (b != letter), row[1:] + 1)

            def next_cell(left, up):
                cell = wnp.minimum(left + 1, up)
                return cell, cell

            _, rest = lax.scan(next_cell, row[0] + 1, best)
            return wnp.concatenate([row[:1] + 1, rest]), None

        return lax.scan(next_row, wnp.arange(b.size + 1), a)[0][-1]

    table = np.zeros((a.size + 1, b.size + 1), I32)
    table[:, 0], table[0] = np.arange(a.size + 1), np.arange(b.size + 1)
    for i in range(a.size):
        for j in range(b.size):
            change = table[i, j] + (a[i] != b[j])
            table[i + 1, j + 1] = min(change, table[i, j + 1] + 1, table[i + 1, j] + 1)
    agree(distance, (a, b), table[-1, -1])


def test_viterbi() -> None:
    """Pointers written by a scan, followed backwards by another."""
    random = np.random.default_rng(0)
    move = np.log(random.dirichlet(np.ones(5), 5)).astype(F32)
    emit = np.log(random.dirichlet(np.ones(4), 5)).astype(F32)
    seen = random.integers(0, 4, 40).astype(I32)

    def path(move, emit, seen):
        def forward(score, symbol):
            ways = score[:, None] + move
            return ways.max(0) + emit[:, symbol], ways.argmax(0)

        score, pointers = lax.scan(forward, emit[:, seen[0]], seen[1:])
        last = score.argmax()
        first, states = lax.scan(lambda s, row: (row[s], s), last, pointers, reverse=True)
        return score.max(), wnp.concatenate([first[None], states])

    score, rows = emit[:, seen[0]], []
    for symbol in seen[1:]:
        ways = score[:, None] + move
        score = ways.max(0) + emit[:, symbol]
        rows.append(ways.argmax(0))
    states = [int(score.argmax())]
    for row in reversed(rows):
        states.append(int(row[states[-1]]))
    agree(path, (move, emit, seen), (score.max(), np.asarray(states[::-1], I32)))


def test_page_rank() -> None:
    random = np.random.default_rng(0)
    source, target = (random.integers(0, 30, 90).astype(I32) for _ in range(2))

    def rank(source, target):
        degree = wnp.maximum(wnp.zeros(30).at[source].add(1), 1)

        def step(_, p):
            return 0.15 / 30 + 0.85 * wnp.zeros(30).at[target].add((p / degree)[source])

        return lax.fori_loop(0, 20, step, wnp.full(30, 1 / 30))

    degree = np.maximum(np.bincount(source, minlength=30), 1)
    p = np.full(30, 1 / 30)
    for _ in range(20):
        p = 0.15 / 30 + 0.85 * np.bincount(target, (p / degree)[source], 30)
    agree(rank, (source, target), p.astype(F32))


def test_k_means() -> None:
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(F32)

    def clusters(x):
        centers = x[:4]
        for _ in range(3):
            nearest = ((x[:, None] - centers) ** 2).sum(-1).argmin(1)
            sums = wnp.zeros((4, 3)).at[nearest].add(x)
            centers = sums / wnp.zeros(4).at[nearest].add(1)[:, None]
        return centers, nearest

    centers = x[:4]
    for _ in range(3):
        nearest = ((x[:, None] - centers) ** 2).sum(-1).argmin(1)
        centers = np.stack([x[nearest == k].mean(0) for k in range(4)])
    agree(clusters, (x,), (centers, nearest.astype(I32)))


def test_mandelbrot_escapes_point_by_point() -> None:
    """A while loop with one trip count per element, by two vmaps."""
    x, y = np.linspace(-2, 1, 23).astype(F32), np.linspace(-1, 1, 11).astype(F32)

    def escape(cx, cy):
        def more(state):
            a, b, n = state
            return (a * a + b * b < 4) & (n < 20)

        def step(state):
            a, b, n = state
            return a * a - b * b + cx, 2 * a * b + cy, n + 1

        return lax.while_loop(more, step, (F32(0), F32(0), 0))[2]

    expected = np.zeros((11, 23), I32)
    for place in np.ndindex(expected.shape):
        cx, cy = x[place[1]], y[place[0]]
        a, b = F32(0), F32(0)
        while a * a + b * b < 4 and expected[place] < 20:
            a, b = a * a - b * b + cx, 2 * a * b + cy
            expected[place] += 1
    agree(weft.vmap(weft.vmap(escape, (0, None)), (None, 0)), (x, y), expected)


def test_conjugate_gradients() -> None:
    random = np.random.default_rng(0)
    root = random.normal(size=(12, 12))
    matrix, right = (
        (root @ root.T + 12 * np.eye(12)).astype(F32),
        random.normal(size=12).astype(F32),
    )

    def solve(matrix, right):
        def step(state):
            x, r, p, rr, n = state
            q = matrix @ p
            alpha = rr / (p @ q)
            x, r = x + alpha * p, r - alpha * q
            return x, r, r + (r @ r / rr) * p, r @ r, n + 1

        start = wnp.zeros_like(right), right, right, right @ right, 0
        return lax.while_loop(lambda s: (s[3] > 1e-10) & (s[4] < 40), step, start)[0]

    agree(solve, (matrix, right), np.linalg.solve(matrix, right), 1e-4)


def test_shortest_paths() -> None:
    lengths = np.random.default_rng(0).uniform(1, 10, (14, 14)).astype(F32)

    def shortest(d):
        step = lambda k, d: wnp.minimum(d, d[:, k][:, None] + d[k])  # noqa: E731
        return lax.fori_loop(0, 14, step, d)

    expected = lengths
    for k in range(14):
        expected = np.minimum(expected, expected[:, k, None] + expected[k])
    agree(shortest, (lengths,), expected)
