"""Every elementary function, float and double, scalar and vector, for each kind of processor.

The reference is libm's long double, called from generated code; errors are in units in the last
place of the correctly rounded result, and NaN, infinities and the sign of zero must agree.
"""

from __future__ import annotations

import ctypes
import functools
import platform

import llvmlite.binding as llvm
import numpy as np
import pytest

from weft.codegen.llvm_text import Module
from weft.codegen.vecmath.functions import BINARY, FUNCTIONS
from weft.codegen.vecmath.power import integer_power
from weft.codegen.vecmath.vec import Features, Vec

NUMPY = {"float": np.float32, "double": np.float64}
BITS = {"float": np.uint32, "double": np.uint64}
IS_X86 = platform.machine() in ("x86_64", "AMD64")
HOST = llvm.get_host_cpu_features()

# name: (cpu, features, bytes of a vector, available here)
TARGETS = {
    "avx512": ("x86-64-v4", Features(True, True, True), 64, HOST.get("avx512dq", False)),
    "avx2": ("x86-64-v3", Features(True, True), 32, HOST.get("avx2", False)),
    "sse2": ("x86-64", Features(), 16, IS_X86),
    "neon": (None, Features(True, True), 16, platform.machine() in ("aarch64", "arm64")),
}

EXACT = {"floor", "ceil", "trunc", "round_even", "round_away", "rem", "nextafter", "sign", "abs"}
EXACT |= {"neg"}
LIBM = {"round_even": "rint", "round_away": "round", "rem": "fmod"}
# Not in libm, or not worth calling.
COMPUTED = {"logistic", "rsqrt", "erf_inv", "sign", "abs", "neg", "nextafter", "sqrt"}

SPECIAL = [
    0.0, -0.0, 1, -1, 0.5, -0.5, 2, -2, 3, -3, np.inf, -np.inf, np.nan, 1e-310, -1e-310, 5e-324,
    -5e-324, 1e-45, -1e-45, 1e-40, 1.17549435e-38, 2.2250738585072014e-308, 1.7976931348623157e308,
    -1.7976931348623157e308, 3.4028234e38, -3.4028234e38, 88.72, 88.73, -103.9, -104.1, 709.78,
    709.79, -745.1, -745.2, 710.4, 89.4, 1 - 2**-24, 1 - 2**-53, 1 + 2**-23, 1 + 2**-52, np.pi,
    np.pi / 2, np.pi / 4, 1e22, 1e30, 2.5, -2.5, 1.5, 0.75, 4, 10, 10.05, 26.5, 27.2, 0.49999997,
    0.49999999999999994, 8388609.0, 4503599627370497.0, 6, -6, 1024, -1074, -149, -1022, 128,
    # closest to a multiple of π/2 among doubles and floats
    6381956970095103 * 2.0**797, 16367173 * 2.0**72, 5.319372648326541e255,
]  # fmt: skip


def emit(name: str, element: str, lanes: int, features: Features) -> str:
    """void apply(ptr y, ptr x, ptr z, i64 n): y = name(x[, z])."""
    module = Module()
    f = module.function("apply", ["ptr %y", "ptr %x", "ptr %z", "i64 %n"])
    v = Vec(f, element, lanes, features)
    pointers = ["%x", "%z"] if name in BINARY else ["%x"]
    with f.loop(0, "%n", lanes) as loop:
        operands = [f.load(v.type, f.gep(element, p, loop.index)) for p in pointers]
        f.store(v.type, FUNCTIONS[name](v, *operands), f.gep(element, "%y", loop.index))
    f.ret()
    return module.text()


def apply(code, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    y = np.empty_like(x)
    pointers = (y.ctypes.data, x.ctypes.data, z.ctypes.data)
    code.call("apply", *pointers, ctypes.c_int64(x.size))
    return y


@functools.cache
def samples(element: str) -> np.ndarray:
    """Special values, every exponent, and the ranges where functions are interesting."""
    rng = np.random.default_rng(2026)
    type_, n = NUMPY[element], 1500
    unit = rng.uniform(-1, 1, n)
    with np.errstate(all="ignore"):
        parts = [
            np.array(SPECIAL).astype(type_),
            rng.integers(0, np.iinfo(BITS[element]).max, 2 * n, BITS[element]).view(type_),
            *((unit * scale).astype(type_) for scale in (1, 12, 120, 750)),
            (1 + unit * 2.0 ** -rng.integers(0, 50, n)).astype(type_),
            (unit * 2.0 ** rng.integers(-30, 40, n)).astype(type_),
            (1 - 2.0 ** rng.uniform(-53, 0, n)).astype(type_),
            (np.round(unit * 1e5) * (np.pi / 4)).astype(type_),
            (2.0 ** rng.uniform(-1080, 1024, n)).astype(type_),
        ]
    x = np.concatenate(parts)
    return np.concatenate([x, np.ones(-x.size % 64, type_)])


@functools.cache
def second_samples(element: str) -> np.ndarray:
    """Partners for binary functions: special values meet each other, the rest is shuffled."""
    x = samples(element)
    z = np.random.default_rng(7).permutation(x)
    z[: len(SPECIAL)] = x[: len(SPECIAL)]
    return z


@functools.cache
def pairs(element: str) -> tuple[np.ndarray, np.ndarray]:
    """`samples` and partners, and every special value with every other one."""
    with np.errstate(over="ignore"):
        special = np.array(SPECIAL).astype(NUMPY[element])
    special = special[: len(special) // 8 * 8]
    x = np.concatenate([np.repeat(special, special.size), samples(element)])
    z = np.concatenate([np.tile(special, special.size), second_samples(element)])
    return x, z


@functools.cache
def libm(native, name: str):
    """libm's long double function over arrays, called from generated code."""
    type_ = "x86_fp80" if IS_X86 else "fp128"
    module = Module()
    parameters = ", ".join([type_] * (2 if name in ("pow", "atan2", "fmod") else 1))
    module.declare(f"declare {type_} @{name}l({parameters})")
    f = module.function("apply", ["ptr %y", "ptr %x", "ptr %z", "i64 %n"])
    with f.loop(0, "%n") as loop:
        at = [f.i(f"getelementptr {type_}, ptr {p}, i64 {loop.index}") for p in ("%x", "%z", "%y")]
        operands = [(type_, f.i(f"load {type_}, ptr {p}, align 16")) for p in at[:2]]
        y = f.call(type_, f"{name}l", *operands[: parameters.count(",") + 1])
        f.do(f"store {type_} {y}, ptr {at[2]}, align 16")
    f.ret()
    return native(module.text())


def exact(native, name: str, x: np.ndarray, z: np.ndarray | None = None) -> np.ndarray:
    """The reference, in long double."""
    x = np.ascontiguousarray(x, np.longdouble)
    z = x if z is None else np.ascontiguousarray(z, np.longdouble)
    if name in COMPUTED:
        return computed(native, name, x)
    return apply(libm(native, LIBM.get(name, name)), x, z)


def computed(native, name: str, x: np.ndarray) -> np.ndarray:
    if name == "logistic":
        return 1 / (1 + exact(native, "exp", -x))
    if name == "rsqrt":
        return 1 / np.sqrt(x)
    if name == "erf_inv":
        return exact_erf_inv(native, x)
    if name == "sign":
        return np.where(x == 0, x, np.sign(x))  # keeps -0, as XLA does and NumPy does not
    plain = {"abs": np.abs, "neg": np.negative, "sqrt": np.sqrt}
    return plain[name](x)


def exact_erf_inv(native, x: np.ndarray) -> np.ndarray:
    """Newton's method in long double on erf or, beyond 1/2, erfc, from SciPy's double."""
    special = pytest.importorskip("scipy.special")
    a = np.abs(x)
    y = special.erfinv(a.astype(np.float64)).astype(np.longdouble)
    half_root_pi = np.longdouble("0.88622692545275801364908374167057259")
    for _ in range(2):
        left = np.where(a < 0.5, exact(native, "erf", y) - a, (1 - a) - exact(native, "erfc", y))
        step = left * exact(native, "exp", y * y) * half_root_pi
        y = np.where(np.isfinite(y) & (y > 0), y - step, y)
    return np.copysign(np.where(a < 1e-300, a * half_root_pi, y), x)


def ulps(y: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """|y - reference| in units in the last place; infinite where NaN or a sign is wrong."""
    info = np.finfo(y.dtype)
    overflow = np.longdouble(2) ** info.maxexp
    bounded = np.clip(reference, -overflow, overflow)
    _, exponent = np.frexp(np.abs(bounded))
    exponent = np.where(bounded == 0, info.minexp, np.maximum(exponent - 1, info.minexp))
    unit = np.ldexp(np.longdouble(1), exponent - info.nmant)
    error = np.abs(np.clip(y.astype(np.longdouble), -overflow, overflow) - bounded) / unit
    both_nan = np.isnan(y) & np.isnan(reference)
    wrong = (np.isnan(y) != np.isnan(reference)) | (np.signbit(y) != np.signbit(reference))
    return np.where(both_nan, 0, np.where(wrong, np.inf, error)).astype(np.float64)


@pytest.fixture(params=TARGETS)
def target(request):
    if not TARGETS[request.param][3]:
        pytest.skip(f"this machine cannot run {request.param} code")
    return TARGETS[request.param]


@functools.cache
def reference_case(native, name: str, element: str):
    x, z = pairs(element) if name in BINARY else (samples(element), samples(element))
    with np.errstate(all="ignore"):
        return x, z, exact(native, name, x, z)


@pytest.mark.parametrize("element", NUMPY)
@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "nextafter"])
def test_error_over_the_whole_domain(native, target, name, element):
    cpu, features, width, _ = target
    x, z, reference = reference_case(native, name, element)
    for lanes in (1, width // NUMPY[element]().itemsize):
        y = apply(native(emit(name, element, lanes, features), cpu), x, z)
        with np.errstate(all="ignore"):
            error = ulps(y, reference)
        worst = int(np.argmax(error))
        operands = (x[worst], z[worst]) if name in BINARY else (x[worst],)
        bound = 0 if name in EXACT else 2
        assert error[worst] <= bound, (lanes, operands, y[worst], reference[worst])


@pytest.mark.parametrize("element", NUMPY)
def test_nextafter_matches_numpy(native, target, element):
    cpu, features, width, _ = target
    x, z = pairs(element)
    lanes = width // x.itemsize
    y = apply(native(emit("nextafter", element, lanes, features), cpu), x, z)
    with np.errstate(all="ignore"):
        expected = np.nextafter(x, z)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(np.signbit(y)[y == 0], np.signbit(expected)[y == 0])


def test_exact_cases(native, target):
    """Results that are representable come out exact where the method promises it."""
    cpu, features, width, _ = target
    powers = 2.0 ** np.arange(-1022, 1024, 1.0)[: 2046 // 8 * 8]
    log2 = native(emit("log2", "double", width // 8, features), cpu)
    np.testing.assert_array_equal(apply(log2, powers, powers), np.arange(-1022, 1018))
    exp2 = native(emit("exp2", "double", width // 8, features), cpu)
    whole = np.arange(-1074, 1022.0)
    np.testing.assert_array_equal(apply(exp2, whole, whole), np.ldexp(1.0, whole.astype(int)))
    for element, largest in (("double", 304), ("float", 38)):
        decades = (10.0 ** np.arange(-largest % 8 - largest, largest + 1))[: 2 * largest // 8 * 8]
        log10 = native(emit("log10", element, width // NUMPY[element]().itemsize, features), cpu)
        tens = decades.astype(NUMPY[element])
        tens = np.concatenate([tens, np.ones(-tens.size % 64, tens.dtype)])
        np.testing.assert_array_equal(apply(log10, tens, tens), np.round(np.log10(tens)))
    cbrt = native(emit("cbrt", "double", width // 8, features), cpu)
    roots = np.arange(1, 161.0)
    np.testing.assert_array_equal(apply(cbrt, roots**3, roots), roots)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 10, -1, -3])
def test_integer_power(native, n):
    module = Module()
    f = module.function("apply", ["ptr %y", "ptr %x"])
    v = Vec(f, "double", 4)
    f.store(v.type, integer_power(v, f.load(v.type, "%x"), n), "%y")
    f.ret()
    x, y = np.array([1.5, -2.0, 0.25, -1.0]), np.empty(4)
    native(module.text()).call("apply", y.ctypes.data, x.ctypes.data)
    np.testing.assert_allclose(y, x**n, rtol=1e-15)


@pytest.mark.parametrize("name", ["exp", "log", "sin", "tanh", "erf", "rem", "atan2", "pow"])
def test_constant_operands(native, target, name):
    """An operand may be a literal, as a kernel with constants has them."""
    cpu, features, width, _ = target
    module = Module()
    f = module.function("apply", ["ptr %y"])
    v = Vec(f, "float", width // 4, features)
    operands = [v.const(0.75)] * (2 if name in BINARY else 1)
    f.store(v.type, FUNCTIONS[name](v, *operands), "%y")
    f.ret()
    y = np.empty(width // 4, np.float32)
    native(module.text(), cpu).call("apply", y.ctypes.data)
    x = np.full(8, 0.75)
    assert (ulps(y, exact(native, name, x, x)[:1].repeat(y.size)) <= 2).all()


def test_features_from_a_feature_string():
    assert Features.of("+sse2,-avx512f") == Features()
    assert Features.of("+avx2,+fma,+sse4.1") == Features(fma=True, rounding=True)
    assert Features.of("+fma,+avx512f,+avx512dq") == Features(True, True, True)
    assert Features.of("", "aarch64-unknown-linux-gnu") == Features(fma=True, rounding=True)
    assert Features.of("", "wasm32") == Features(rounding=True, libm=False)


def test_other_element_types_are_refused():
    with pytest.raises(ValueError, match="compute half and bfloat through float"):
        Vec(Module().function("f"), "half", 8)


def test_text_is_the_same_every_time():
    features = Features(True, True, True)
    assert emit("sin", "float", 16, features) == emit("sin", "float", 16, features)
