"""What ``weft demo`` shows: a classifier and a fluid, each beside the same program in NumPy.

`digits` and `fluid` hold the programs, `marbling` and `png` turn a fluid into a picture, and
`show` runs everything and prints what happened.
"""

NAMES = ("digits", "fluid")
