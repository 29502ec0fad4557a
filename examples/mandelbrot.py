"""The Mandelbrot set in characters: an elementwise loop, compiled as one program.

python examples/mandelbrot.py
"""

import weft
import weft.numpy as np
from weft import lax

SHADES = " .:-=+*#%@"
ITERATIONS = 100


@weft.jit
def escape_times(cx, cy):
    """How many iterations of z² + c each point stays within a distance of two."""

    def step(_, state):
        zx, zy, count = state
        inside = zx * zx + zy * zy < 4
        # Points outside stand still, so that they cannot overflow.
        zx, zy = (
            np.where(inside, zx * zx - zy * zy + cx, zx),
            np.where(inside, 2 * zx * zy + cy, zy),
        )
        return zx, zy, count + inside

    start = np.zeros_like(cx), np.zeros_like(cx), np.zeros(cx.shape, np.int32)
    return lax.fori_loop(0, ITERATIONS, step, start)[2]


def main():
    cx, cy = np.meshgrid(np.linspace(-2.1, 0.7, 100), np.linspace(-1.2, 1.2, 40))
    for row in escape_times(cx, cy).tolist():
        print("".join(SHADES[min(count * len(SHADES) // ITERATIONS, 9)] for count in row).rstrip())


if __name__ == "__main__":
    main()
