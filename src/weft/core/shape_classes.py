"""Programs of one structure and many shapes: a jaxpr with sizes for its larger extents.

Dimensions up to `EXACT` stay numbers, as they decide how things broadcast and how loops are
scheduled.  Every larger one becomes a size, the same for dimensions of equal extent; the starts of
slices become sizes of their own.  How the extents of a program hang together (a slice fits its
operand, what is concatenated adds up) follows from its equations, so that every program with the
same key (`ShapeClass.key`) is the same function of its sizes::

    f32[100] … slice 1:100 … f32[99]   →   f32[n0] … slice s0:s0+n1 … f32[n1],  s0 + n1 <= n0

What a primitive's parameters say about extents is its ``sizes`` rule, called as ``rule(sizes,
inputs, outputs, **params)`` with a `Naming` and the shapes of operands and results; it returns the
parameters with tokens in place of what may differ.  A program with a primitive without that rule,
or with extents that are related in some other way, has no class (`NoClassError` says why) and is
compiled for its exact shapes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from weft.core.avals import ShapedArray
from weft.core.canonical import constant_key
from weft.core.extents import Extent, OpenExtentError, Size, Sizes
from weft.core.jaxpr import Atom, ClosedJaxpr, Eqn, Jaxpr, Literal, Var
from weft.structs import struct

#: Extents up to this one stay exact.
EXACT = 16
#: Bytes of the largest array of a program, by class: fits the first cache, the second.
WORKING_SETS = (1 << 15, 1 << 20)


class NoClassError(Exception):
    """Why a program is compiled for its exact shapes: one of a few reasons, for counting."""


class Token:
    """Stands for a size: the ``number``-th of its ``kind`` in a program."""

    __slots__ = ("kind", "number")

    def __init__(self, kind: str, number: int) -> None:
        self.kind, self.number = kind, number

    def __repr__(self) -> str:
        return f"{self.kind}{self.number}"


#: Tokens are shared, so that keys compare them by identity.
_tokens: dict[tuple[str, int], Token] = {}


def _token(kind: str, number: int) -> Token:
    return _tokens.setdefault((kind, number), Token(kind, number))


Dim = int | Token


class Naming:
    """The tokens of one program's extents, given out in the order in which they are met."""

    def __init__(self) -> None:
        self.values: dict[Token, int] = {}
        self._dims: dict[int, Token] = {}
        self._starts: dict[int, Token] = {}
        self.relations: list[tuple[Any, ...]] = []

    def dim(self, extent: int) -> Dim:
        """An extent of an array."""
        return extent if extent <= EXACT else self._name("n", self._dims, extent)

    def start(self, offset: int) -> Dim:
        """Where a slice begins."""
        return self._name("s", self._starts, offset) if offset else 0

    def shape(self, shape: Iterable[int]) -> tuple[Dim, ...]:
        """The extents of an array."""
        return tuple([d if d <= EXACT else self._name("n", self._dims, d) for d in shape])

    def _name(self, kind: str, known: dict[int, Token], value: int) -> Token:
        token = known.get(value)
        if token is None:
            token = known[value] = _token(kind, len(known))
            self.values[token] = value
        return token

    # -- relations that the equations imply --------------------------------------------------------

    def fits(self, start: Dim, length: Dim, stride: int, extent: Dim) -> None:
        """``start + (length - 1)·stride < extent``."""
        self.relations.append(("fits", start, length, stride, extent))

    def adds_up(self, total: Dim, parts: Sequence[Dim]) -> None:
        """``total`` is the sum of ``parts``."""
        if total in parts:  # the others are empty
            return
        self.relations.append(("sum", total, tuple(parts)))

    def multiplies(self, total: Dim, factors: Sequence[Dim]) -> None:
        """``total`` is the product of ``factors``."""
        if total in factors:  # the others are one
            return
        self.relations.append(("product", total, tuple(factors)))


@struct
class ShapeClass:
    """What a program has in common with others of its structure, and its own sizes.

    ``values`` are the sizes in the order of `Family.sizes`; only meaningful together with the
    `family` of an equal ``key``.
    """

    key: Hashable
    naming: Naming
    closed: ClosedJaxpr
    limit: int
    shapes: list[tuple[Dim, ...]]
    params: list[dict[str, Any]]

    def family(self) -> Family:
        """The program for all shapes of the class.  Raises `NoClassError` where there is none."""
        return _Writer(self).write()


@struct
class Family:
    """A jaxpr whose avals have extents for dimensions, and the tokens of the sizes it leaves open.

    `values_of` gives a program of the class its sizes, in the order of ``sizes``.
    """

    closed: ClosedJaxpr
    sizes: Sizes
    order: tuple[Token, ...]

    def values_of(self, shape_class: ShapeClass) -> tuple[int, ...]:
        """The sizes of one program of this class."""
        values = shape_class.naming.values
        return tuple(values[token] for token in self.order)


def shape_class(closed: ClosedJaxpr) -> ShapeClass:
    """The class of a program without constants.  Raises `NoClassError` if it has none."""
    jaxpr = closed.jaxpr
    naming = Naming()
    numbers: dict[int, int] = {}
    shapes: list[tuple[Dim, ...]] = []
    tokens: list[Hashable] = []
    largest = 0

    def bind(variables: Iterable[Var]) -> None:
        nonlocal largest
        for var in variables:
            aval = var.aval
            numbers[id(var)] = len(numbers)
            shape = naming.shape(aval.shape)
            shapes.append(shape)
            tokens.append((shape, aval.dtype, aval.weak_type))
            largest = max(largest, aval.nbytes)

    bind(jaxpr.invars)
    params = []
    for eqn in jaxpr.eqns:
        rule = eqn.primitive.rules.get("sizes")
        if rule is None or eqn.effects:
            raise NoClassError(f"{eqn.primitive.name} is compiled for exact shapes")
        inputs = [x.aval.shape for x in eqn.invars]
        outputs = [x.aval.shape for x in eqn.outvars]
        moved = rule(naming, inputs, outputs, **eqn.params)
        params.append(moved)
        operands = tuple([_operand(x, numbers) for x in eqn.invars])
        tokens.append((eqn.primitive, tuple(moved.items()), operands))
        bind(eqn.outvars)
    if not naming.values:
        raise NoClassError("all extents are small")
    limit = next((n for n in WORKING_SETS if largest <= n), 0)
    if not limit or max(naming.values.values()) > limit:
        raise NoClassError("an array is large")
    outs = tuple([_operand(x, numbers) for x in jaxpr.outvars])
    key = (len(jaxpr.invars), tuple(tokens), outs, limit)
    return ShapeClass(key, naming, closed, limit, shapes, params)


def _operand(atom: Atom, numbers: dict[int, int]) -> Hashable:
    """What the key says of an operand."""
    if isinstance(atom, Literal):
        return atom.aval, constant_key(atom.value)
    return numbers[id(atom)]


class _Writer:
    """Extents for tokens, and the jaxpr over them."""

    def __init__(self, of: ShapeClass) -> None:
        self.of = of
        self.sizes = Sizes()
        self.defined: dict[Token, tuple[Any, ...]] = {}
        self.extents: dict[Token, Any] = {}
        self.order: list[Token] = []
        #: Tokens whose relations leave one number, which is the same in every program of the class.
        self.numbers: dict[Token, int] = {}

    def write(self) -> Family:
        relations = self.of.naming.relations
        for relation in relations:
            if relation[0] != "fits" and isinstance(relation[1], Token):
                self.defined.setdefault(relation[1], relation)
        try:
            self._name_all()
            while forced := self._forced():  # a number for one may force another one
                self.numbers |= forced
                self._name_all()
        except OpenExtentError as why:
            raise NoClassError("its extents hang together in a way that is not followed") from why
        if not self.order:  # the larger ones are made of small ones
            raise NoClassError("all extents are small")
        return Family(self._closed(), self.sizes, tuple(self.order))

    def _name_all(self) -> None:
        """Extents for all tokens, and what is known about them."""
        self.sizes, self.extents, self.order = Sizes(), dict(self.numbers), []
        for token in self.of.naming.values:
            self._extent(token, ())
        for relation in self.of.naming.relations:
            self._know(relation)

    def _forced(self) -> dict[Token, int]:
        """Sizes that facts about them alone leave one number: where `x[s:]` is one element less
        than `x`, s is 1, and is to be equal to 1.
        """
        tokens = dict(zip(self.sizes.sizes, self.order, strict=True))
        lows = {size: size.lo for size in tokens}
        highs = {size: size.hi for size in tokens}
        for fact in self.sizes.facts:
            ((monomial, k), *more) = fact.terms.items()
            if more or len(monomial) != 1 or not isinstance(monomial[0], Size):
                continue
            size = monomial[0]
            if k > 0:
                lows[size] = max(lows[size], -(fact.const // k))
            else:
                highs[size] = min(highs[size], fact.const // -k)
        return {tokens[s]: lows[s] for s in tokens if lows[s] == highs[s]}

    def _extent(self, dim: Dim, within: tuple[Token, ...]) -> Any:
        if not isinstance(dim, Token):
            return dim
        if dim in within:
            raise NoClassError("its extents hang together in a circle")
        if dim not in self.extents:
            relation = self.defined.get(dim)
            if relation is None:
                least = EXACT + 1 if dim.kind == "n" else 1
                hint = self.of.naming.values[dim]
                self.extents[dim] = self.sizes.new(repr(dim), least, self.of.limit, hint)
                self.order.append(dim)
            else:
                self.extents[dim] = self._derived(relation, (*within, dim))
        return self.extents[dim]

    def _derived(self, relation: tuple[Any, ...], within: tuple[Token, ...]) -> Any:
        kind, _, parts = relation
        total: Any = 0 if kind == "sum" else 1
        for part in parts:
            extent = self._extent(part, within)
            total = total + extent if kind == "sum" else total * extent
        return total

    def _know(self, relation: tuple[Any, ...]) -> None:
        if relation[0] == "fits":
            start, length, extent = (self._extent(relation[k], ()) for k in (1, 2, 4))
            room = extent - start - (length - 1) * relation[3] - 1
            if isinstance(room, Extent):
                self.sizes.know(room)
        elif self._derived(relation, ()) != self._extent(relation[1], ()):
            raise NoClassError("an extent is composed in two ways")

    def _closed(self) -> ClosedJaxpr:
        old = self.of.closed.jaxpr
        shapes = iter(self.of.shapes)
        vars_: dict[int, Var] = {}

        def bind(variables: Iterable[Var]) -> list[Var]:
            made = []
            for var in variables:
                shape = tuple(self._extent(d, ()) for d in next(shapes))
                new = Var(ShapedArray(shape, var.aval.dtype, var.aval.weak_type))
                self.sizes.limit(new.aval.size, self.of.limit // var.aval.dtype.itemsize)
                vars_[id(var)] = new
                made.append(new)
            return made

        def use(atoms: Iterable[Atom]) -> list[Atom]:
            return [x if isinstance(x, Literal) else vars_[id(x)] for x in atoms]

        invars = bind(old.invars)
        eqns = []
        for eqn, params in zip(old.eqns, self.of.params, strict=True):
            operands = use(eqn.invars)
            open_params = {name: self._resolved(value) for name, value in params.items()}
            outs = bind(eqn.outvars)
            eqns.append(Eqn(eqn.primitive, operands, outs, open_params, eqn.effects, eqn.source))
        return ClosedJaxpr(Jaxpr([], invars, use(old.outvars), eqns), [])

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, Token):
            return self._extent(value, ())
        if type(value) is tuple:
            return tuple(self._resolved(v) for v in value)
        if isinstance(value, Sum):
            return self._derived(("sum", None, value.parts), ())
        return value


@struct(frozen=True)
class Sum:
    """A parameter that is the sum of others, such as where a slice ends."""

    parts: tuple[Dim, ...]


def sizes_at(sizes: Sizes, values: Sequence[int]) -> dict[Size, int]:
    """The sizes of a family with their values for one program."""
    return dict(zip(sizes.sizes, values, strict=True))


def keep_params(naming: Naming, inputs: Any, outputs: Any, **params: Any) -> dict[str, Any]:
    """The ``sizes`` rule of primitives whose parameters say nothing about extents."""
    del naming, inputs, outputs
    return params
