"""Intervals of ratios of medians, by bootstrap.

Calls of one process resemble each other more than those of two (memory is laid out differently),
so processes are drawn first, then calls within each (Efron and Tibshirani, "An Introduction to the
Bootstrap", chapter 8). With two or three processes an interval says how far they were apart, and
hardly more.
"""

import numpy as np

DRAWS = 1000
EVEN = 1.03  # what counts as a draw: the medians of one program in two runs differ by as much


def medians(rounds: list[dict], quantity: str, generator: np.random.Generator) -> np.ndarray:
    """Resampled medians over ``rounds`` of the medians over calls, ``DRAWS`` of them."""
    chosen = generator.integers(len(rounds), size=(DRAWS, len(rounds)))
    if quantity != "median":  # one value for a process
        return np.median(np.array([x[quantity] for x in rounds])[chosen], axis=1)
    columns = []
    for result in rounds:
        times = np.array(result["times"])
        columns.append(
            np.median(times[generator.integers(times.size, size=(DRAWS, times.size))], 1)
        )
    drawn = generator.integers(DRAWS, size=chosen.shape)
    return np.median(np.array(columns)[chosen, drawn], axis=1)


def of_ratio(ours: list[dict], theirs: list[dict], quantity: str) -> tuple[float, float]:
    """The 95% interval of the ratio of two medians.

    ``ours`` and ``theirs`` are the results of processes, with ``times`` of single calls; other
    quantities than ``"median"`` have one value in each.

    >>> of_ratio([{"first_call": 2.0}], [{"first_call": 4.0}], "first_call")
    (0.5, 0.5)
    """
    generator = np.random.default_rng(0)
    top, bottom = (medians(rounds, quantity, generator) for rounds in (ours, theirs))
    low, high = np.quantile(top / bottom, (0.025, 0.975))
    return float(low), float(high)
