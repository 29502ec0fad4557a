"""The error for an attribute that arrays do not have, with the closest ones that they do."""

from __future__ import annotations

import difflib
from typing import Any

# Habits of NumPy and PyTorch that Weft spells differently.
_ADVICE = {
    "numpy": "np.asarray(x) gives a NumPy array",
    "cpu": "np.asarray(x) gives a NumPy array",
    "detach": "weft.lax.stop_gradient(x) stops gradients",
    "backward": "weft.grad(f) differentiates functions",
    "grad": "weft.grad(f) differentiates functions",
    "fill": "x = weft.numpy.full_like(x, value) makes a filled array: arrays are values",
    "resize": "x.reshape(...) gives a new shape: arrays are values",
    "itemset": "x[i] = v, or x.at[i].set(v), changes an element",
    "put": "x.at[i].set(v) changes elements",
    "partition": "x = weft.numpy.partition(x, kth) gives a partitioned copy: arrays are values",
    "setflags": "arrays are values, and nobody can write to them",
    "setfield": "x.at[i].set(v) changes elements",
    "flat": "x.ravel() has the elements along one axis",
    "tofile": "np.save(file, x) writes an array, and x.tobytes() gives its bytes",
    "dump": "pickle.dump(x, file) writes it",
    "dumps": "pickle.dumps(x) gives it as bytes",
    "byteswap": "np.asarray(x).byteswap() gives a NumPy array",
    "strides": "arrays have no memory order; np.asarray(x) is one in C order",
    "flags": "arrays have no memory order; np.asarray(x) is one in C order",
    "base": "arrays are values, never views of others",
    "data": "np.asarray(x).data is its memory, read-only",
    "ctypes": "np.asarray(x).ctypes is its memory, read-only",
}


def missing_attribute(array: Any, name: str) -> AttributeError:
    """An AttributeError that says what to write instead where that is known."""
    advice = _ADVICE.get(name)
    if advice is None and not name.startswith("_"):
        public = [candidate for candidate in dir(type(array)) if not candidate.startswith("_")]
        close = difflib.get_close_matches(name, public, n=1)
        advice = f"did you mean x.{close[0]}?" if close else None
    text = f"a weft array has no attribute {name!r}"
    return AttributeError(f"{text}; {advice}" if advice else text, name=name, obj=array)
