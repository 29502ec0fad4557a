"""The errors and warnings of the front end, each a subclass of the built-in one it refines.

docs/errors.md shows each with a program that causes it, and what to do.

JAX's names are aliases where one of these errors is that error.
"""

from __future__ import annotations


class ConcretizationError(TypeError):
    """A traced value was used where Python needs a concrete one (``if``, ``int()``)."""


class TracerBoolConversionError(ConcretizationError):
    """The truth value of a traced value was asked for: ``if``, ``while``, ``and``, ``or``."""


class TracerIntegerConversionError(ConcretizationError):
    """A traced value was used where Python needs an integer: an index of a list, a size."""


class TracerArrayConversionError(ConcretizationError):
    """A traced value was to become a NumPy array: a function of NumPy got it."""


class NonConcreteBooleanIndexError(ConcretizationError, IndexError):
    """A traced boolean mask was an index: how many elements it chooses depends on its values."""


class LeakedTracerError(RuntimeError):
    """A traced value was used after the transformation that made it had finished."""


class MissingRuleError(NotImplementedError):
    """A primitive has no rule for the transformation that met it."""


class JaxprError(TypeError):
    """A jaxpr is not well formed; the message shows the equation and its neighbours."""


class NonlinearError(TypeError):
    """A function to transpose is not linear: the message names the operation and its line."""


class DeviceError(RuntimeError):
    """A device is missing, was lost, or refuses a kernel: the message says what to do."""


class RecompilationWarning(UserWarning):
    """A jitted function was compiled for many signatures: the message says what changed."""


class LargeConstantWarning(UserWarning):
    """A jitted function closed over a large array: the message says which, and where."""


ConcretizationTypeError = ConcretizationError
UnexpectedTracerError = LeakedTracerError
JaxprTypeError = JaxprError
