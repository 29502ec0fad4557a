"""What ``weft demo`` shows: programs a person can read, each with a picture to look at.

One module a demo, named like it: the program first, then `show`, which runs it on a `stage.Stage`
and says what happened. `digits` and `fluid` hold the same program in NumPy, too, and are what runs
without a name. `png` and `svg` write pictures.
"""

from __future__ import annotations

from typing import NamedTuple


class Demo(NamedTuple):
    """What a demo does, in a line, and how the name of its picture's file ends."""

    text: str
    suffix: str


DEMOS = {
    "digits": Demo("a perceptron learns handwritten digits, beside NumPy", ".svg"),
    "fluid": Demo("a fluid marbles paper (Navier-Stokes), beside NumPy", ".png"),
    "mandelbrot": Demo("the edge of the Mandelbrot set", ".png"),
    "nbody": Demo("two galaxies meet, every star attracts every other", ".png"),
    "wave": Demo("waves through two slits, in weft.lazy", ".png"),
    "multigrid": Demo("charges in a box by multigrid, in weft.lazy", ".png"),
    "transformer": Demo("a language model of Shakespeare's sonnets", ".svg"),
    "statistics": Demo("regression, bootstrap and HMC: was the launch too cold?", ".svg"),
    "automata": Demo("cells learn to grow a flower", ".png"),
    "geodesics": Demo("distances along a knot, by the heat method", ".png"),
    "pca": Demo("all digits on a map, by principal components", ".png"),
    "compression": Demo("an image in few numbers, by SVD and QR", ".png"),
}

#: What runs when no demo is named.
NAMES = ("digits", "fluid")
