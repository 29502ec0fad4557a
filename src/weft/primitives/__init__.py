"""The primitives: one file per family, every rule of a primitive side by side.

In each file a primitive ``name_p`` is declared and followed by its rules: type, NumPy meaning, JVP,
transpose, batching and lowering. Beside it stands a function ``name`` that applies it; the rules of
other primitives are written with these functions. They are strict: operands have equal dtypes and
shapes. :mod:`weft.lax` adds Python scalars to them, :mod:`weft.numpy` promotion and broadcasting.
"""
