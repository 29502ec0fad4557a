"""Elementary functions on vectors, as LLVM text: at most 2 ulp over the whole domain.

`Vec` is the arithmetic; `FUNCTIONS` maps names to functions that take a `Vec` and value names and
return a value name:

    v = Vec(function, "float", 16, Features.of(features))
    y = FUNCTIONS["tanh"](v, x)

Measured bounds, in ulps of the result, are in docs/vector-math.md; tests/codegen/test_vecmath.py
holds every function to them, and tools/exhaustive_ulp.py measures all 2^32 floats.
"""
