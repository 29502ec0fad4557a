"""The error for a name that a module of Weft does not have, with what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_ONE_PROCESS = "Weft computes in one process: there is one host, with the devices of weft.devices()"
_MAPPED = "weft.vmap maps over an axis; Weft has no meshes of devices yet"
_ALWAYS = "64-bit dtypes are always there, so nothing has to be enabled"

# Names of JAX and NumPy that Weft has no namesake of.
_ADVICE = {
    "weft": {
        "pmap": _MAPPED,
        "shard_map": _MAPPED,
        "make_mesh": _MAPPED,
        "sharding": _MAPPED,
        "device_count": "len(weft.devices()) counts devices",
        "local_device_count": "len(weft.devices()) counts devices",
        "local_devices": "weft.devices() names devices",
        "default_backend": "weft.devices() names devices, and weft.default_device chooses one",
        "process_count": _ONE_PROCESS,
        "process_index": _ONE_PROCESS,
        "host_count": _ONE_PROCESS,
        "host_id": _ONE_PROCESS,
        "enable_x64": _ALWAYS,
        "effects_barrier": "effects have happened when a call returns",
        "default_matmul_precision": "products have the precision of their dtype",
        "check_tracer_leaks": "weft.checking_leaks looks for leaked tracers",
        "experimental": "what is there has its place in weft.lax, weft.numpy or weft itself",
        "zeros": "weft.numpy.zeros makes arrays",
        "ones": "weft.numpy.ones makes arrays",
    },
    "weft.numpy": {
        "random": "weft.random draws numbers: weft.random.normal(weft.random.key(0), shape)",
        "copyto": "x[...] = y, or x = x.at[...].set(y): arrays are values",
        "putmask": "x = weft.numpy.where(mask, values, x)",
        "ascontiguousarray": "weft.numpy.asarray(x): arrays have no memory order",
        "asfortranarray": "weft.numpy.asarray(x): arrays have no memory order",
        "asanyarray": "weft.numpy.asarray(x)",
        "require": "weft.numpy.asarray(x): arrays have no memory order",
        "shares_memory": "arrays are values, which never share memory that anybody may write",
        "may_share_memory": "arrays are values, which never share memory that anybody may write",
        "errstate": "floating-point errors give inf and NaN; weft.debug_nans(True) finds them",
        "seterr": "floating-point errors give inf and NaN; weft.debug_nans(True) finds them",
        "ndenumerate": "numpy.ndenumerate(numpy.asarray(x)), or weft.numpy.indices(x.shape)",
        "ndindex": "numpy.ndindex(x.shape) works, too",
        "real_if_close": "numpy.real_if_close(x), whose dtype depends on values",
        "common_type": "weft.numpy.result_type(...)",
        "isfortran": "arrays have no memory order",
        "intp": "int32, or int64 for what does not fit",
        "min_scalar_type": "numpy.min_scalar_type(value)",
        "poly1d": "weft.numpy.polyval(p, x) and its kin take vectors of coefficients",
        "broadcast": "weft.numpy.broadcast_arrays(...), weft.numpy.broadcast_shapes(...)",
        "nditer": "numpy.nditer(numpy.asarray(x))",
        "array2string": "numpy.array2string(numpy.asarray(x))",
        "genfromtxt": "weft.numpy.asarray(numpy.genfromtxt(...))",
        "half": "weft.numpy.float16",
        "testing": "numpy.testing takes arrays of Weft",
        "matrix": "arrays with two axes: A @ B is their product",
        "longdouble": "float64 is the widest floating-point dtype",
        "float128": "float64 is the widest floating-point dtype",
    },
}


def missing_name(module: str, name: str, public: Iterable[str]) -> AttributeError:
    """An AttributeError that says what to write instead of ``module.name`` where that is known."""
    advice = _ADVICE.get(module, {}).get(name)
    if advice is None and not name.startswith("_"):
        candidates = [known for known in public if not known.startswith("_")]
        close = difflib.get_close_matches(name, candidates, n=1, cutoff=0.75)
        advice = f"did you mean {module}.{close[0]}?" if close else None
    text = f"module {module!r} has no attribute {name!r}"
    return AttributeError(f"{text}; {advice}" if advice else text)
