"""Writes docs/errors.md: each error and warning of Weft, with a program that causes it.

    python tools/errors.py > docs/errors.md

The programs are run, and what they say is what the page shows.
"""

from __future__ import annotations

import inspect
import linecache
import textwrap
import warnings
from typing import NamedTuple

import weft
from weft import errors

HEAD = """\
# Errors and warnings

Written by `python tools/errors.py`: every message below is what the program above it says. Each
class of `weft.errors` refines a built-in one, so that `except TypeError` catches what it should,
and names its section of this page. Messages say what was wrong, with which argument, on which line
of yours, and what to do instead.
"""


class Entry(NamedTuple):
    """A program, what it raises or warns of, and what to do about it.

    ``message`` is what it says where that depends on the machine; such a program is not run.
    """

    title: str
    kind: str
    program: str
    advice: str
    message: str = ""


ENTRIES = (
    Entry(
        "A branch on a traced value",
        "TracerBoolConversionError",
        """
        @weft.jit
        def relu(x):
            if x > 0:
                return x
            return 0 * x

        relu(3.0)
        """,
        "The function is traced once for all values. `np.where` and `weft.lax.cond` choose while "
        "it runs; an argument that is "
        "named in `static_argnames` has a value while it is traced, and a program for each.",
    ),
    Entry(
        "A traced value as a Python index",
        "TracerIntegerConversionError",
        """
        rates = [0.1, 0.01, 0.001]

        @weft.jit
        def decay(x, epoch):
            return x * rates[epoch]

        decay(1.0, 2)
        """,
        "An array can be indexed by a traced value, `np.array(rates)[epoch]`; for a list, and "
        "wherever a number decides about "
        "shapes, make the argument static.",
    ),
    Entry(
        "A traced value in a function of another library",
        "TracerArrayConversionError",
        """
        import math, numpy

        @weft.jit
        def area(r):
            return numpy.asarray(r) ** 2 * math.pi

        area(2.0)
        """,
        "Use the function of `weft.numpy`; `weft.pure_callback` calls Python code with values "
        "while the program runs.",
    ),
    Entry(
        "A mask as an index",
        "NonConcreteBooleanIndexError",
        """
        @weft.jit
        def positive(x):
            return x[x > 0]

        positive(np.arange(-2.0, 3.0))
        """,
        "How many elements there are would depend on values: `np.where(mask, x, 0)` keeps the "
        "shape.",
    ),
    Entry(
        "A number of a traced value",
        "ConcretizationError",
        """
        @weft.jit
        def scale(x):
            return x * float(x.sum())

        scale(np.ones(3))
        """,
        "Leave out the conversion: arrays without axes are numbers to every function.",
    ),
    Entry(
        "A traced value that got out",
        "LeakedTracerError",
        """
        seen = []

        @weft.jit
        def step(x):
            seen.append(x * 2)
            return x

        step(1.0)
        seen[0] + 1
        """,
        "Return what is needed later. `weft.checking_leaks` finds the line; `weft.debug.print` "
        "shows values.",
    ),
    Entry(
        "An operation that a transformation has no rule for",
        "MissingRuleError",
        """
        weft.linear_transpose(np.sin, 1.0)(1.0)
        """,
        "Sines have no transpose, as they are not linear; `weft.vjp` transposes their derivative. "
        "Functions of one's own get rules by "
        "`weft.custom_jvp`, `weft.custom_vjp` and `weft.custom_batching.custom_vmap`.",
    ),
    Entry(
        "A function that is not linear",
        "NonlinearError",
        """
        weft.linear_transpose(lambda x: x * x, 1.0)(1.0)
        """,
        "`weft.vjp` transposes the derivative of any function.",
    ),
    Entry(
        "An operand of the wrong type in a jaxpr",
        "JaxprError",
        """
        from weft.core import check_jaxpr

        closed = weft.make_jaxpr(lambda x: np.sin(x) + 1)(np.ones(3))
        closed.jaxpr.eqns[0].outvars[0].aval = weft.typeof(np.ones(4))
        check_jaxpr(closed)
        """,
        "Only who builds jaxprs by hand, or changes the compiler, sees it: the equation named is "
        "the first that does not fit.",
    ),
    Entry(
        "A device that is not there",
        "DeviceError",
        """
        weft.device_put(np.ones(3), "opencl")
        """,
        "`weft.devices()` lists what there is.",
        "the device 'opencl' needs the package pyopencl: pip install 'weft[opencl]'",
    ),
    Entry(
        "A NaN",
        "FloatingPointError",
        """
        def entropy(p):
            return -(p * np.log(p)).sum()

        with weft.debug_nans():
            weft.jit(entropy)(np.array([0.5, 0.5, 0.0]))
        """,
        "`weft.debug_nans` and `weft.debug_infs` run operation by operation, and stop at the "
        "first one that makes a NaN or an "
        "infinity. Here, `p * np.log(np.where(p > 0, p, 1))`.",
    ),
    Entry(
        "Shapes that do not fit",
        "ValueError",
        """
        weft.jit(lambda x, y: x + y)(np.ones((3, 2)), np.ones(3))
        """,
        "Axes are matched from the last one on: `y[:, None]`.",
    ),
    Entry(
        "Assignment to an argument",
        "TypeError",
        """
        @weft.jit
        def clear(x):
            x[0] = 0.0
            return x

        clear(np.ones(3))
        """,
        "Arrays are values. The update is done in place where nobody else looks.",
    ),
    Entry(
        "Many signatures",
        "RecompilationWarning",
        """
        weft.config.warn_recompiles = 2
        total = weft.jit(lambda batch: batch.sum())
        for n in (3, 4):
            total(np.ones(n))
        """,
        "Each signature is compiled. Pad batches to a few sizes; pass what varies as an array "
        "rather than as a static argument.",
    ),
    Entry(
        "A large constant",
        "LargeConstantWarning",
        """
        weft.config.warn_constants = 4000
        table = np.ones(2000)
        weft.jit(lambda x: x + table)(1.0)
        """,
        "A jitted function keeps a copy of what it closes over, and is compiled again for another "
        "one.",
    ),
)


def page() -> str:
    """The text of docs/errors.md."""
    parts = [HEAD]
    parts += [f"- [{e.title}](#{anchor(e.title)}): `{e.kind}`" for e in ENTRIES]
    for entry in ENTRIES:
        parts.append(f"\n## {entry.title}\n")
        own = getattr(errors, entry.kind, None)
        if own is not None:
            if own.section != anchor(entry.title):
                raise SystemExit(f"{entry.kind}.section is not {anchor(entry.title)!r}")
            named = (base.__name__ for base in own.__bases__ if base.__name__[0] != "_")
            bases = ", ".join(f"`{name}`" for name in named)
            summary = " ".join((inspect.getdoc(own) or "").split())
            parts.append(f"`weft.errors.{entry.kind}`, a {bases}. {summary}\n")
        else:
            parts.append(f"`{entry.kind}`\n")
        program = textwrap.dedent(entry.program).strip()
        parts.append(f"```python\n{program}\n```\n\n```text\n{said(entry)}\n```\n\n{entry.advice}")
    names = sorted(set(own_classes()) - {entry.kind for entry in ENTRIES})
    if names:
        raise SystemExit(f"docs/errors.md says nothing about {', '.join(names)}")
    return "\n".join(parts) + "\n"


def own_classes() -> list[str]:
    """The classes of `weft.errors`, without aliases."""
    return [
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
        if value.__name__ == name and name[0] != "_"
    ]


def anchor(title: str) -> str:
    """What GitHub and mkdocs make of a heading."""
    return title.lower().replace(" ", "-")


def said(entry: Entry) -> str:
    """The message of an entry's program."""
    if entry.message:
        return f"{entry.kind}: {entry.message}"
    program = textwrap.dedent(entry.program).strip()
    file = "example.py"
    lines = program.splitlines(keepends=True)
    linecache.cache[file] = (len(program), None, lines, file)
    settings = weft.config.warn_recompiles, weft.config.warn_constants
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            exec(compile(program, file, "exec"), {"weft": weft, "np": weft.numpy})
    except Exception as error:
        if type(error).__name__ != entry.kind:
            raise SystemExit(f"{entry.title}: {type(error).__name__}: {error}") from error
        return f"{entry.kind}: {error}"
    finally:
        weft.config.warn_recompiles, weft.config.warn_constants = settings
    for warning in found:
        if warning.category.__name__ == entry.kind:
            return f"{entry.kind}: {warning.message}"
    raise SystemExit(f"{entry.title}: nothing was raised")


if __name__ == "__main__":
    print(page(), end="")
