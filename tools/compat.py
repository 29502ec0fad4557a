"""Writes docs/compat.md: which names of JAX Weft has, and where the two differ.

Both libraries are inspected, so this needs an environment with JAX and Weft:

    python tools/compat.py > docs/compat.md

A name is *implemented* if every call that JAX's signature allows is one that Weft's allows, with
the same defaults. It *differs* if arguments are missing, or have another place or default, or if
NOTES says what differs in meaning.
"""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from types import ModuleType
from typing import Any

import jax

NAMESPACES = (
    *("numpy", "numpy.linalg", "numpy.fft", "lax", "lax.linalg", "nn", "nn.initializers", "random"),
    *("scipy.special", "scipy.linalg", "scipy.fft", "scipy.signal", "scipy.ndimage"),
    *("scipy.integrate", "scipy.cluster.vq", "scipy.optimize", "scipy.interpolate", "scipy.stats"),
    *("scipy.sparse.linalg", "scipy.spatial.transform"),
    *("ops", "image", "flatten_util", "dlpack", "errors"),
)

#: Arguments that place results on devices, or choose among JAX's algorithms; they have no meaning.
IGNORED = {"out_sharding", "_dot_general", "sharding"}

#: Names that Weft does not have on purpose: a pattern, and why.
NOT_APPLICABLE = (
    (
        r"float[468]_.*|u?int[124]|float8_.*",
        "there are no dtypes narrower than 8 bits, and no 8-bit floats",
    ),
    (
        r".*(shard|_p$|mesh|pcast|pvary|vma|unreduced|ragged_all|infeed|outfeed|with_).*",
        "internals and sharding of JAX",
    ),
    (
        r"after_all|create_token",
        "effects are ordered by the program: there are no tokens",
    ),
    (
        r"pbroadcast|psend|precv|stage",
        "operations on devices of a mesh, or on JAX's own traces",
    ),
    (
        r"scaled_dot|scaled_matmul|scaled_dot_general|get_scaled_dot_general_config",
        "products of 4-bit and 8-bit floats with scales of blocks, which are dtypes Weft lacks",
    ),
    (
        r"JAXIndexError|JAXTypeError|JaxRuntimeError|KeyReuseError|InconclusiveDimensionOperation",
        "Weft raises IndexError, TypeError, RuntimeError and ValueError; keys are not counted",
    ),
    (
        r"(Gather|Scatter|Conv|Dot|Ragged|FftType|Precision|Accuracy|Tolerance|Composite|Rounding).*"
        r"|AccuracyMode",
        "types of JAX's own lowering",
    ),
)

#: What differs in meaning though the signature is the same.
NOTES = {
    "lax.approx_max_k": "finds all of the greatest elements",
    "lax.approx_min_k": "finds all of the least elements",
    "lax.custom_root": "the guess takes the dtypes of the residual",
    "lax.dce_sink": "does nothing",
    "lax.empty": "zeros: there are no undefined values",
    "lax.optimization_barrier": "gives its argument: what is moved is up to what it costs",
    "lax.platform_dependent": "the platform is `cpu`",
    "lax.ragged_dot": "`group_offset` has to be None",
    "lax.ragged_dot_general": "`group_offset` has to be None",
    "lax.rng_bit_generator": "other bits: Threefry, whatever the algorithm; Philox is refused",
    "lax.rng_uniform": "other numbers at each call, from a generator of NumPy",
    "nn.dot_product_attention": (
        "float64 is not rounded to float32; a query that sees no key where only positions are "
        "masked gets a mean of the values it might have seen"
    ),
    "scipy.optimize.minimize": "`tol` is that of the gradient; there is no L-BFGS",
    "scipy.sparse.linalg.gmres": "both values of `solve_method` mean one algorithm",
    "numpy.broadcast_arrays": "a tuple, as in NumPy and the Array API standard",
    "numpy.meshgrid": "a tuple, as in NumPy and the Array API standard",
    "numpy.astype": "copies unless `copy=False`, as the Array API standard says",
    "numpy.bincount": "raises for negative integers whose values are known",
    "numpy.choose": '`mode="raise"` checks known indices, and clips traced ones',
    "numpy.cumsum": "float16 and bfloat16 are added up in float32",
    "numpy.empty": "zeros: there are no undefined values",
    "numpy.fill_diagonal": "`inplace=True` works, as `x[i] = v` does; `wrap=True` too",
    "numpy.fromfunction": "calls the function once, with arrays, as NumPy does",
    "numpy.histogram": "counts are int32; rules for the number of bins work on known values",
    "numpy.histogram2d": "counts are int32",
    "numpy.histogramdd": "counts are int32",
    "numpy.insert": "raises for known indices out of bounds, as NumPy does",
    "numpy.load": "archives give arrays of Weft by name",
    "numpy.piecewise": "functions are called with the whole array, not element by element",
    "numpy.place": "`inplace=True` works, as `x[i] = v` does",
    "numpy.polyadd": "integers stay integers",
    "numpy.polyder": "integers stay integers, as in NumPy",
    "numpy.put": "`inplace=True` works, as `x[i] = v` does",
    "numpy.put_along_axis": "`inplace=True` works, as `x[i] = v` does",
    "numpy.result_type": "64-bit dtypes are kept: there is no flag to turn them on",
    "numpy.setdiff1d": "`fill_value` is 0 by default",
    "numpy.ufunc": "functions of the namespace are plain functions with a ufunc's methods",
}


def parameters(function: Any) -> list[inspect.Parameter] | None:
    """The parameters; None where there is no signature."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None


def differences(theirs: Any, ours: Any) -> list[str]:
    """How calls of JAX's function are not calls of Weft's."""
    wanted, offered = parameters(theirs), parameters(ours)
    if wanted is None or offered is None or isinstance(theirs, type):
        return []
    if type(theirs).__name__ == "ufunc":
        named = {p.name for p in offered}
        missing = [f"no `{name}` (JAX takes None only)" for name in ("out", "where")]
        return [] if named >= {"out", "where"} else missing
    positional = [p for p in offered if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    named = {p.name: p for p in offered if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    any_number = any(p.kind is p.VAR_POSITIONAL for p in offered)
    any_name = any(p.kind is p.VAR_KEYWORD for p in offered)
    found = []
    place = 0
    for p in wanted:
        if p.name in IGNORED or p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
            continue
        mine = named.get(p.name)
        if p.kind is not p.KEYWORD_ONLY:
            at = positional[place] if place < len(positional) else None
            place += 1
            if at is None and not any_number:
                found.append(f"no `{p.name}`" if mine is None else f"`{p.name}` by name only")
                continue
            if p.kind is p.POSITIONAL_ONLY or at is None:
                continue
            if at.name != p.name:
                found.append(
                    f"`{at.name}` in place of `{p.name}`"
                    if mine is None
                    else f"`{p.name}` at another place"
                )
                continue
            mine = at
        elif mine is None:
            if not any_name:
                found.append(f"no `{p.name}`")
            continue
        if p.default is not p.empty and not same_default(p.default, mine.default):
            found.append(f"`{p.name}={shown(mine.default)}` (JAX: {shown(p.default)})")
    return found


def same_default(a: Any, b: Any) -> bool:
    """Whether two defaults mean the same."""
    sentinels = type(a) is object and type(b) is object
    if a is b or sentinels or (callable(a) and callable(b)):
        return True
    try:
        return bool(a == b) or repr(a) == repr(b)
    except (TypeError, ValueError):
        return False


def shown(default: Any) -> str:
    """A default as text; a parameter without one is required."""
    return "required" if default is inspect.Parameter.empty else repr(default)


def public(module: ModuleType) -> list[str]:
    """Names that a module offers: no modules but distributions, no private ones."""
    found = []
    for name in dir(module):
        value = getattr(module, name)
        if name.startswith("_"):
            continue
        if isinstance(value, ModuleType):
            if module.__name__ == "jax.scipy.stats" and value.__name__.startswith(module.__name__):
                found.append(name)  # a distribution
            continue
        home = getattr(value, "__module__", None) or ""
        if home.split(".")[0] in ("jax", "jaxlib", "numpy", "ml_dtypes", "scipy", ""):
            found.append(name)
    return found


def why_not(name: str) -> str | None:
    """Why a name is not for Weft; None if it is."""
    for pattern, reason in NOT_APPLICABLE:
        if re.fullmatch(pattern, name):
            return reason
    return None


def section(namespace: str) -> tuple[str, tuple[int, int, int, int]]:
    """The text about a namespace, and how many names are in each state."""
    theirs = importlib.import_module(f"jax.{namespace}")
    try:
        ours: Any = importlib.import_module(f"weft.{namespace}")
    except ModuleNotFoundError:
        ours = None
    same, differ, absent, missing = [], [], {}, []
    for name in public(theirs):
        if ours is not None and hasattr(ours, name):
            how = differences(getattr(theirs, name), getattr(ours, name))
            note = NOTES.get(f"{namespace}.{name}")
            if note:
                how.append(note)
            if how:
                differ.append((name, "; ".join(how)))
            else:
                same.append(name)
        elif (reason := why_not(name)) is not None:
            absent.setdefault(reason, []).append(name)
        else:
            missing.append(name)
    lines = [f"## jax.{namespace}", ""]
    if same:
        lines += ["**Implemented.**", *wrapped(same), ""]
    if differ:
        lines += ["| differs | how |", "|---|---|"]
        lines += [f"| `{name}` | {how.replace('|', chr(92) + '|')} |" for name, how in differ]
        lines.append("")
    for reason, names in absent.items():
        lines += [f"**Not applicable** ({reason}).", *wrapped(names), ""]
    if missing:
        lines += ["**Not there yet.**", *wrapped(missing), ""]
    counts = len(same), len(differ), sum(map(len, absent.values())), len(missing)
    return "\n".join(lines), counts


def wrapped(names: list[str]) -> list[str]:
    """Names in lines of a page's width."""
    return textwrap.wrap(" ".join(f"`{name}`" for name in names), 118, break_on_hyphens=False)


def main() -> None:
    """Prints the page."""
    sections = [(namespace, *section(namespace)) for namespace in NAMESPACES]
    print("# Weft and JAX, name by name\n")
    print(
        f"Made by `tools/compat.py`, which inspects Weft and JAX {jax.__version__}. A name is "
        "implemented if every call\n"
        "that JAX's signature allows is one that Weft's allows, with the same defaults. Sharding "
        "arguments are left out;\nWeft often takes more than JAX does.\n"
    )
    print("| namespace | implemented | differs | not applicable | not there yet |")
    print("|---|--:|--:|--:|--:|")
    for namespace, _, counts in sections:
        print(f"| `{namespace}` | " + " | ".join(map(str, counts)) + " |")
    print()
    print("\n".join(text for _, text, _ in sections).rstrip())


if __name__ == "__main__":
    main()
