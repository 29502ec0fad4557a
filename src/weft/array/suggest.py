"""The error for an attribute that arrays do not have, with the closest ones that they do."""

from __future__ import annotations

import difflib
from typing import Any

# Habits of NumPy and PyTorch that Weft spells differently.
_ADVICE = {
    "numpy": "np.asarray(x) gives a NumPy array",
    "detach": "weft.lax.stop_gradient(x) stops gradients",
    "backward": "weft.grad(f) differentiates functions",
    "grad": "weft.grad(f) differentiates functions",
    "sort": "x = weft.numpy.sort(x) gives a sorted copy: arrays are values",
    "fill": "x = weft.numpy.full_like(x, value) makes a filled array: arrays are values",
    "resize": "x.reshape(...) gives a new shape: arrays are values",
    "itemset": "x[i] = v, or x.at[i].set(v), changes an element",
    "view": "weft.lax.bitcast_convert_type reinterprets bits",
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
