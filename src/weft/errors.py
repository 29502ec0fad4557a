"""The errors and warnings of the front end, each a subclass of the built-in one it refines.

docs/errors.md shows each with a program that causes it, and what to do.

JAX's names are aliases where one of these errors is that error.
"""

from __future__ import annotations

from typing import ClassVar


class _Catalogued:
    """An error or warning that the catalogue explains; errors say so below their message."""

    #: The section of docs/errors.md.
    section: ClassVar[str]

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        if isinstance(self, BaseException) and not isinstance(self, Warning):
            self.add_note(f"What causes this and what to do: docs/errors.md#{self.section}")


class ConcretizationError(_Catalogued, TypeError):
    """A traced value was used where Python needs a concrete one (``if``, ``int()``)."""

    section = "a-number-of-a-traced-value"


class TracerBoolConversionError(ConcretizationError):
    """The truth value of a traced value was asked for: ``if``, ``while``, ``and``, ``or``."""

    section = "a-branch-on-a-traced-value"


class TracerIntegerConversionError(ConcretizationError):
    """A traced value was used where Python needs an integer: an index of a list, a size."""

    section = "a-traced-value-as-a-python-index"


class TracerArrayConversionError(ConcretizationError):
    """A traced value was to become a NumPy array: a function of NumPy got it."""

    section = "a-traced-value-in-a-function-of-another-library"


class NonConcreteBooleanIndexError(ConcretizationError, IndexError):
    """A traced boolean mask was an index: how many elements it chooses depends on its values."""

    section = "a-mask-as-an-index"


class LeakedTracerError(_Catalogued, RuntimeError):
    """A traced value was used after the transformation that made it had finished."""

    section = "a-traced-value-that-got-out"


class MissingRuleError(_Catalogued, NotImplementedError):
    """A primitive has no rule for the transformation that met it."""

    section = "an-operation-that-a-transformation-has-no-rule-for"


class JaxprError(_Catalogued, TypeError):
    """A jaxpr is not well formed; the message shows the equation and its neighbours."""

    section = "an-operand-of-the-wrong-type-in-a-jaxpr"


class NonlinearError(_Catalogued, TypeError):
    """A function to transpose is not linear: the message names the operation and its line."""

    section = "a-function-that-is-not-linear"


class DeviceError(_Catalogued, RuntimeError):
    """A device is missing, was lost, or refuses a kernel: the message says what to do."""

    section = "a-device-that-is-not-there"


class RecompilationWarning(_Catalogued, UserWarning):
    """A jitted function was compiled for many signatures: the message says what changed."""

    section = "many-signatures"


class LargeConstantWarning(_Catalogued, UserWarning):
    """A jitted function closed over a large array: the message says which, and where."""

    section = "a-large-constant"


ConcretizationTypeError = ConcretizationError
UnexpectedTracerError = LeakedTracerError
JaxprTypeError = JaxprError
