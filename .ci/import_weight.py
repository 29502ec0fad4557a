"""Check that ``import weft`` stays light: what it loads, and how long it takes.

What is measured is the import a program really pays for: Weft, its NumPy namespace and the first
transformations, since their names load when first used.

The compiler, the search engine and scientific libraries load when first needed. Wall-clock time
on a shared machine is noisy, so the best of several processes is compared with the limit.
"""

import subprocess
import sys

HEAVY = ("llvmlite", "egglog", "scipy", "jax", "torch", "matplotlib")
LIMIT = 0.15  # seconds above bare Python, NumPy included
NUMPY = 0.06  # seconds of NumPy alone where that limit holds; slower machines get longer
PROCESSES = 30

PROBE = """
import sys, time
begin = time.perf_counter()
import weft, weft.numpy
weft.jit, weft.grad, weft.vmap
seconds = time.perf_counter() - begin
print(seconds, *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def probe() -> tuple[float, list[str]]:
    """Import Weft in a new process; return the seconds it took and the top-level modules."""
    output = subprocess.check_output([sys.executable, "-c", PROBE], text=True)
    seconds, *modules = output.split()
    return float(seconds), modules


def numpy_seconds() -> float:
    """Import NumPy alone in a new process; return the seconds it took."""
    code = (
        "import time; begin = time.perf_counter(); import numpy; print(time.perf_counter() - begin)"
    )
    return float(subprocess.check_output([sys.executable, "-c", code], text=True))


def main() -> int:
    """Print the figures; return 1 when a limit is broken."""
    results, numpy = [], []
    for _ in range(PROCESSES):
        results.append(probe())
        numpy.append(numpy_seconds())
    limit = LIMIT * max(1.0, min(numpy) / NUMPY)
    seconds, modules = min(results)
    heavy = [name for name in HEAVY if name in modules]
    print(
        f"import weft: {seconds:.3f} s (limit {limit:.3f} s, NumPy {min(numpy):.3f} s), "
        f"{len(modules)} top-level modules"
    )
    if heavy:
        print(f"import weft loads {', '.join(heavy)}; import them where they are used")
    if seconds > limit:
        print("import weft takes too long; python -X importtime -c 'import weft' shows where")
    return int(bool(heavy) or seconds > limit)


if __name__ == "__main__":
    sys.exit(main())
