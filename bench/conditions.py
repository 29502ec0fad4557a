"""Conditions under which a framework is measured: suffixes of its name, such as ``weft+one+avx2``.

- ``+tuned``: glibc's malloc keeps freed memory and backs it with huge pages. Without this,
  memory-bound workloads in frameworks that allocate every output mostly measure page faults.
- ``+one``: on one CPU, with one thread.
- ``+avx2``, ``+sse2``: code without wider instructions (Weft only).
"""

import os

TUNED, ONE = "+tuned", "+one"
INSTRUCTIONS = ("+avx2", "+sse2")
SUFFIXES = (TUNED, ONE, *INSTRUCTIONS)
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMBA")
TUNED_MALLOC = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.top_pad=67108864"
    ":glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184"
}


def split(framework: str) -> tuple[str, list[str]]:
    """The framework's own name and the suffixes behind it.

    >>> split("weft+one+avx2")
    ('weft', ['+one', '+avx2'])
    """
    name, *suffixes = framework.split("+")
    return name, [f"+{suffix}" for suffix in suffixes]


def base(framework: str) -> str:
    """The framework's own name.

    >>> base("jax+tuned")
    'jax'
    """
    return split(framework)[0]


def check(framework: str) -> str | None:
    """What is wrong with the suffixes of ``framework``, or ``None``.

    >>> check("jax+avx2")
    '+avx2 is for weft only'
    >>> check("jax+fast")
    'there is no +fast; there are +tuned, +one, +avx2, +sse2'
    """
    name, suffixes = split(framework)
    for suffix in suffixes:
        if suffix not in SUFFIXES:
            return f"there is no {suffix}; there are {', '.join(SUFFIXES)}"
        if suffix in INSTRUCTIONS and name != "weft":
            return f"{suffix} is for weft only"
    return None


def environment(framework: str, threads: int) -> dict[str, str]:
    """Variables that have to be set before the process of ``framework`` starts."""
    suffixes = split(framework)[1]
    names = [f"{library}_NUM_THREADS" for library in THREADS]
    if ONE in suffixes:
        variables = dict.fromkeys(names, "1")
    else:
        variables = {name: os.environ.get(name, str(threads)) for name in names}
    return variables | (TUNED_MALLOC if TUNED in suffixes else {})


def restrict_cpus(framework: str) -> None:
    """Keep this process on one CPU if ``framework`` says so; before anything starts threads."""
    if ONE in split(framework)[1]:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def restrict_instructions(framework: str) -> None:
    """Have Weft compile for the instructions that ``framework`` names, if it names any."""
    chosen = [suffix for suffix in split(framework)[1] if suffix in INSTRUCTIONS]
    if chosen:
        import weft

        weft.config.cpu = chosen[0].removeprefix("+")
