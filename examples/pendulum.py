"""Fit the length of a pendulum to observed angles, by gradients through the simulation.

python examples/pendulum.py
"""

import weft
import weft.numpy as np
from weft import lax

GRAVITY, TIME_STEP, STEPS = 9.81, 0.01, 400


def simulate(length):
    """Angles over time of a pendulum released at one radian (symplectic Euler)."""

    def step(state, _):
        angle, speed = state
        speed = speed - TIME_STEP * GRAVITY / length * np.sin(angle)
        angle = angle + TIME_STEP * speed
        return (angle, speed), angle

    start = np.float32(1), np.float32(0)
    return lax.scan(step, start, None, length=STEPS)[1]


def main():
    observed = simulate(np.float32(1.3))

    def error(length):
        return np.mean((simulate(length) - observed) ** 2)

    error_and_slope = weft.jit(weft.value_and_grad(error))
    length = np.float32(1)
    for iteration in range(60):
        value, slope = error_and_slope(length)
        length = length - 0.02 * slope
        if iteration % 10 == 0:
            print(f"{iteration:3}  length {float(length):.4f}  error {float(value):.6f}")
    print(f"length {float(length):.3f} (true: 1.3)")


if __name__ == "__main__":
    main()
