"""Was the launch too cold? Regression, bootstrap and Hamiltonian Monte Carlo on 23 space shuttles.

On each flight before Challenger's, the joints of the boosters' segments were looked at: were
their O-rings damaged? The logistic regression of Dalal, Fowlkes and Hoadley (1989), with weak
priors that keep resampled data without a finite maximum in bounds, asks what to expect at the
31 °F of 28 January 1986. Three answers, from one log-density written once:

- its maximum, by Newton's method, with `weft.grad` and `weft.hessian`;
- the bootstrap (Efron, 1979): the same fit to thousands of resampled histories, by `weft.vmap`;
- the posterior, by Hamiltonian Monte Carlo (Neal, 2011): a chain is a `scan`, several a `vmap`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import weft
import weft.numpy as wnp
from weft import lax
from weft.demo.stage import Stage, compiled, timed
from weft.demo.svg import COLOURS, INK, Chart, Panel

# Temperature of the joints in °F, and whether an O-ring was damaged: see DATA.md.
_FLOWN = "66 70 69 68 67 72 73 70 57 63 70 78 67 53 67 75 70 81 76 79 75 76 58"
TEMPERATURE = tuple(map(int, _FLOWN.split()))
DAMAGED = tuple(map(int, "01000000111001000000101"))
COLD = 31.0  # °F, at the launch of 28 January 1986
PRIOR = (3.0, 2.5)  # standard deviations of the intercept, and of the slope per 10 °F
RESAMPLES = 4000
CHAINS, DRAWS, WARM_UP = 4, 2500, 500
LEAPFROG, STEP = 8, 0.45


def scaled(temperature: Any) -> Any:
    """Temperature in tens of degrees from 70 °F."""
    return (temperature - 70.0) / 10


def log_density(theta: Any, x: Any, y: Any, weight: Any) -> Any:
    """Log-likelihood of damage `y` (0 or 1), each flight counted `weight` times, and log-prior."""
    z = theta[0] + theta[1] * x
    likelihood = wnp.sum(weight * (y * z - weft.nn.softplus(z)))
    return likelihood - 0.5 * wnp.sum((theta / wnp.asarray(PRIOR)) ** 2)


def fit(x: Any, y: Any, weight: Any) -> Any:
    """The maximum of the density, by Newton's method: it is concave."""

    def step(_: Any, theta: Any) -> Any:
        slope = weft.grad(log_density)(theta, x, y, weight)
        curvature = weft.hessian(log_density)(theta, x, y, weight)
        return theta - wnp.linalg.solve(curvature, slope)

    return lax.fori_loop(0, 12, step, wnp.zeros(2))


def bootstrap(key: Any, x: Any, y: Any, resamples: int) -> Any:
    """Fits to as many histories drawn from the flights with replacement: (resamples, 2)."""

    def one(key: Any) -> Any:
        drawn = weft.random.randint(key, (len(x),), 0, len(x))
        return fit(x[drawn], y[drawn], wnp.ones(len(x)))

    return weft.vmap(one)(weft.random.split(key, resamples))


class Chain(NamedTuple):
    """Draws of shape (draws, 2), and the share of proposals that were accepted."""

    theta: Any
    accepted: Any


def sample(key: Any, start: Any, x: Any, y: Any, draws: int) -> Chain:
    """One chain: `LEAPFROG` steps along the gradient, then Metropolis's decision."""
    density = weft.value_and_grad(lambda theta: log_density(theta, x, y, wnp.ones(len(x))))

    def draw(state: Any, key: Any) -> Any:
        theta, value, slope = state
        for_momentum, for_decision = weft.random.split(key)
        momentum = weft.random.normal(for_momentum, (2,))

        def leap(_: Any, moving: Any) -> Any:
            theta, momentum, _, slope = moving
            momentum = momentum + 0.5 * STEP * slope
            theta = theta + STEP * momentum
            value, slope = density(theta)
            return theta, momentum + 0.5 * STEP * slope, value, slope

        ahead = lax.fori_loop(0, LEAPFROG, leap, (theta, momentum, value, slope))
        gain = ahead[2] - value - 0.5 * (wnp.sum(ahead[1] ** 2) - wnp.sum(momentum**2))
        accept = wnp.log(weft.random.uniform(for_decision)) < gain
        new = [wnp.where(accept, a, b) for a, b in zip((ahead[0], *ahead[2:]), state, strict=True)]
        return tuple(new), (new[0], accept)

    state = (start, *density(start))
    _, (theta, accepted) = lax.scan(draw, state, weft.random.split(key, draws))
    return Chain(theta, wnp.mean(accepted))


def r_hat(theta: np.ndarray) -> np.ndarray:
    """Gelman and Rubin's √R̂ of chains of shape (chains, draws, 2): near 1 if they agree."""
    draws = theta.shape[1]
    within = theta.var(axis=1, ddof=1).mean(axis=0)
    between = draws * theta.mean(axis=1).var(axis=0, ddof=1)
    return np.sqrt((draws - 1) / draws + between / (draws * within))


def chance(theta: Any, temperature: Any) -> np.ndarray:
    """The probability of damage at each temperature, for each θ: (…, temperatures)."""
    theta, x = np.asarray(theta, float), scaled(np.asarray(temperature, float))
    return 1 / (1 + np.exp(-(theta[..., :1] + theta[..., 1:] * x)))


def show(stage: Stage) -> None:
    """Answer in three ways, and draw the answers."""
    x = wnp.asarray(scaled(np.array(TEMPERATURE, np.float32)))
    y = wnp.asarray(np.array(DAMAGED, np.float32))
    stage.say(
        f"[bold]O-rings[/bold]: damage on {sum(DAMAGED)} of {len(DAMAGED)} flights, the coldest at "
        f"{min(TEMPERATURE)} °F; what about {COLD:.0f} °F?"
    )
    best = weft.jit(fit)(x, y, wnp.ones(len(x)))
    keys = weft.random.split(weft.random.key(0), CHAINS + 1)
    resampled = weft.jit(lambda key: bootstrap(key, x, y, RESAMPLES))
    resampled(keys[0])  # compiles it
    fits, bootstrap_seconds = timed(resampled, keys[0])

    starts = wnp.asarray(np.random.default_rng(0).normal(0, 1, (CHAINS, 2)).astype(np.float32))
    chains = weft.jit(weft.vmap(lambda key, start: sample(key, start, x, y, WARM_UP + DRAWS)))
    _, first_chains = timed(chains, keys[1:], starts)
    chain, chain_seconds = timed(chains, keys[1:], starts)
    theta = np.asarray(chain.theta)
    kept = theta[:, WARM_UP:]

    table = stage.table("", f"damage at {COLD:.0f} °F", "90% interval", "", "time")
    rows = (
        ("maximum", chance(best, [COLD])[None], "Newton", None),
        ("bootstrap", chance(fits, [COLD]), f"{RESAMPLES:,} fits", bootstrap_seconds),
        ("posterior", chance(kept, [COLD]), f"{CHAINS} chains of {DRAWS:,}", chain_seconds),
    )
    for name, values, how, seconds in rows:
        low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
        interval = f"{low:.0%} to {high:.0%}" if seconds else ""
        time = f"{seconds * 1e3:.0f} ms" if seconds else ""
        table.add_row(name, f"{middle:.0%}", interval, how, time)
    stage.console.print(table)
    agreement = ", ".join(f"{value:.3f}" for value in r_hat(kept))
    accepted = float(np.mean(np.asarray(chain.accepted)))
    stage.say(f"The chains accept {accepted:.0%} of their proposals; R̂ is {agreement}.")
    stats = chains.trace(keys[1:], starts).executable.stats
    stage.say(compiled("chains", stats, first_chains - chain_seconds))
    draw(stage, np.asarray(best), np.asarray(fits), theta)
    stage.show_picture("Curves and traces")


def draw(stage: Stage, best: np.ndarray, fits: np.ndarray, theta: np.ndarray) -> None:
    """Draw the flights with what the three methods make of them, and the chains."""
    chart, kept = Chart(980, 560), theta[:, WARM_UP:].reshape(-1, 2)
    degrees = np.linspace(28, 84, 120)
    panel = Panel(chart, (60, 50, 500, 440), (28, 84), (-0.04, 1.04), "Damaged O-rings")
    panel.ticks(range(30, 85, 10), (0, 0.25, 0.5, 0.75, 1), " °F")
    low, high = np.quantile(chance(kept, degrees), [0.05, 0.95], axis=0)
    panel.band(degrees, low, high, COLOURS[0])
    for theta_fit in fits[:60]:
        panel.line(degrees, chance(theta_fit, degrees), COLOURS[1], 0.8, 0.22)
    panel.line(degrees, chance(best, degrees), INK, 2.2)
    panel.line((COLD, COLD), (0, 1), COLOURS[3], 1.2)
    chart.text(float(panel.place(COLD, 0)[0]) + 6, 478, "28 January 1986", 12, fill=COLOURS[3])
    jitter = 0.012 * np.array([TEMPERATURE[:i].count(t) for i, t in enumerate(TEMPERATURE)])
    flown = np.array(DAMAGED) * (1 - 2 * jitter) + jitter
    panel.dots(TEMPERATURE, flown, INK, 4.5, 0.75)
    for place, (name, colour) in enumerate(
        (("maximum", INK), ("bootstrap", COLOURS[1]), ("90% of the posterior", COLOURS[0]))
    ):
        chart.rectangle(400, 92 + 20 * place, 16, 4, colour)
        chart.text(424, 98 + 20 * place, name, 12)

    shown = theta[:, : WARM_UP + 700]
    for row, name in enumerate(("intercept", "slope per 10 °F")):
        lowest, highest = kept[:, row].min(), kept[:, row].max()
        box = (640.0, 50.0 + 165 * row, 310.0, 105.0)
        trace = Panel(chart, box, (0, shown.shape[1]), (lowest, highest), f"Chains: {name}")
        trace.ticks((0, WARM_UP, shown.shape[1]), (int(lowest), int(highest)))
        trace.band((0, WARM_UP), (lowest, lowest), (highest, highest), "#888", 0.12)
        for chain, colour in zip(shown, COLOURS, strict=True):
            trace.line(
                np.arange(len(chain)), np.clip(chain[:, row], lowest, highest), colour, 0.6, 0.75
            )
    even = 70 - 10 * kept[:, 0] / kept[:, 1]
    heights, edges = np.histogram(even, bins=50, range=(50, 75), density=True)
    box = (640.0, 380.0, 310.0, 110.0)
    last = Panel(chart, box, (50, 75), (0, heights.max()), "Posterior: odds are even at")
    last.ticks((50, 55, 60, 65, 70, 75), (), " °F")
    last.bars(edges, heights, COLOURS[0])
    chart.save(stage.picture)
