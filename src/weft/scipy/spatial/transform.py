"""Rotations of space as unit quaternions, single ones and stacks of them; interpolation on arcs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import weft.numpy as wnp
from weft.core import dtypes
from weft.numpy._common import ArrayLike, DType, Value, check_arraylike, promote_inexact, shape_of
from weft.random import Key, normal
from weft.transforms.custom_jvp import custom_jvp

__all__ = ["Rotation", "Slerp"]


def _array(name: str, x: ArrayLike, *sizes: int) -> Value:
    """`x` as floats, whose last axes have these sizes."""
    check_arraylike(f"scipy.spatial.transform.{name}", x)
    if shape_of(x)[-len(sizes) :] != sizes:
        raise ValueError(
            f"weft.scipy.spatial.transform.{name}: the last axes have sizes {sizes}, got shape "
            f"{shape_of(x)}"
        )
    (x,) = promote_inexact(f"scipy.spatial.transform.{name}", x)
    return wnp.asarray(x)


def _norm(x: Value) -> Value:
    """The length of vectors, with derivative 0 where it is 0."""
    square = wnp.sum(x * x, -1, keepdims=True)
    return wnp.where(square > 0, wnp.sqrt(wnp.where(square > 0, square, 1)), 0)


@custom_jvp
def _principal_axis(a: Value) -> Value:
    """The unit eigenvector of a symmetric matrix with its largest eigenvalue.

    The rule of `eigh` would take second derivatives through the other eigenvectors, which have none
    where their eigenvalues are equal: those of few rotations are, all being 0.
    """
    return wnp.linalg.eigh(a)[1][:, -1]


@_principal_axis.defjvp
def _turn_of_principal_axis(primals: tuple[Value], tangents: tuple[Value]) -> tuple[Value, Value]:
    (a,), (change,) = primals, tangents
    v = _principal_axis(a)
    pushed = change @ v
    # The resolvent on the complement of v, which stays invertible for adding v's projector.
    resolvent = (v @ a @ v) * np.eye(4, dtype=v.dtype) - a + wnp.outer(v, v)
    return v, wnp.linalg.solve(resolvent, pushed - v * (v @ pushed))


class Rotation(NamedTuple):
    """A rotation of space, or a vector of rotations: SciPy's class, as a tree of one array.

    quat: unit quaternions (x, y, z, w) in the last axis. Make rotations with the class methods
    ``from_…``; ``a * b`` is b and then a.

    >>> turn = weft.scipy.spatial.transform.Rotation.from_euler("z", 90.0, degrees=True)
    >>> np.round(turn.apply(np.asarray([1.0, 0.0, 0.0])), 6)
    Array([0., 1., 0.], dtype=float32)
    """

    quat: Value

    # ------------------------------------------------------------ making

    @classmethod
    def from_quat(cls, quat: ArrayLike) -> Rotation:
        """From quaternions (x, y, z, w) of any length but 0."""
        quat = _array("Rotation.from_quat", quat, 4)
        return cls(quat / _norm(quat))

    @classmethod
    def from_rotvec(cls, rotvec: ArrayLike, degrees: bool = False) -> Rotation:
        """From axes, whose lengths are the angles."""
        vector = _array("Rotation.from_rotvec", rotvec, 3)
        vector = wnp.deg2rad(vector) if degrees else vector
        half = 0.5 * _norm(vector)
        # sin(angle / 2) / angle
        return cls(wnp.concatenate([0.5 * wnp.sinc(half / np.pi) * vector, wnp.cos(half)], -1))

    @classmethod
    def from_mrp(cls, mrp: ArrayLike) -> Rotation:
        """From modified Rodrigues parameters: axes of length tan(angle / 4)."""
        vector = _array("Rotation.from_mrp", mrp, 3)
        square = wnp.sum(vector * vector, -1, keepdims=True)
        return cls(wnp.concatenate([2 * vector, 1 - square], -1) / (1 + square))

    @classmethod
    def from_matrix(cls, matrix: ArrayLike) -> Rotation:
        """From orthogonal matrices of determinant 1, in the last two axes."""
        m = _array("Rotation.from_matrix", matrix, 3, 3)
        d = [m[..., i, i] for i in range(3)]
        trace = d[0] + d[1] + d[2]
        # Four multiples of the quaternion, by each of its components; that of the greatest is good.
        rows = []
        for i in range(3):
            j, k = (i + 1) % 3, (i + 2) % 3
            row: list[Any] = [0, 0, 0, m[..., k, j] - m[..., j, k]]
            row[i] = 1 - trace + 2 * d[i]
            row[j], row[k] = m[..., j, i] + m[..., i, j], m[..., k, i] + m[..., i, k]
            rows.append(wnp.stack(row, -1))
        others = ((i, (i + 1) % 3, (i + 2) % 3) for i in range(3))
        last = [m[..., k, j] - m[..., j, k] for _, j, k in others]
        rows.append(wnp.stack([*last, 1 + trace], -1))
        choice = wnp.argmax(wnp.stack([*d, trace], -1), -1)[..., None, None]
        quat = wnp.take_along_axis(wnp.stack(rows, -2), choice, -2)[..., 0, :]
        return cls(quat / _norm(quat))

    @classmethod
    def from_euler(cls, seq: str, angles: ArrayLike, degrees: bool = False) -> Rotation:
        """From up to three angles about axes: "xyz" fixed ones, "XYZ" those that turn along.

        `angles` has one for each letter of `seq` in its last axis; for one letter, it may be a
        number.
        """
        axes, intrinsic = _axes(seq, "Rotation.from_euler")
        check_arraylike("scipy.spatial.transform.Rotation.from_euler", angles)
        (angles,) = promote_inexact("scipy.spatial.transform.Rotation.from_euler", angles)
        turns = wnp.atleast_1d(wnp.asarray(angles))
        if turns.shape[-1] != len(axes):
            raise ValueError(
                f"weft.scipy.spatial.transform.Rotation.from_euler: {len(axes)} angles in the last "
                f"axis for seq {seq!r}, got shape {shape_of(angles)}"
            )
        turns = wnp.deg2rad(turns) if degrees else turns
        result = None
        for i, axis in enumerate(axes):
            half = 0.5 * turns[..., i]
            parts = [wnp.zeros_like(half)] * 3
            parts[axis] = wnp.sin(half)
            quat = wnp.stack([*parts, wnp.cos(half)], -1)
            if result is None:
                result = quat
            else:
                result = _product(result, quat) if intrinsic else _product(quat, result)
        assert result is not None
        return cls(result)

    @classmethod
    def identity(cls, num: int | None = None, dtype: DType = None) -> Rotation:
        """The rotation that moves nothing, or `num` of it."""
        kind = dtypes.float32 if dtype in (None, float) else dtypes.canonical_dtype(dtype)
        quat = wnp.asarray(np.array([0, 0, 0, 1]), kind)
        return cls(quat if num is None else wnp.tile(quat, (num, 1)))

    @classmethod
    def random(cls, random_key: Key, num: int | None = None) -> Rotation:
        """Rotations uniformly distributed, one or `num`."""
        quat = normal(random_key, (4,) if num is None else (num, 4))
        return cls(quat / _norm(quat))

    @classmethod
    def concatenate(cls, rotations: Sequence[Rotation]) -> Rotation:
        """Vectors of rotations, one after the other."""
        return cls(wnp.concatenate([wnp.atleast_2d(r.quat) for r in rotations]))

    # ------------------------------------------------------------ as numbers

    def as_quat(self, canonical: bool = False, scalar_first: bool = False) -> Value:
        """The quaternions; `canonical` ones have a positive last (then first, …) component."""
        quat = self.quat
        if canonical:
            sign: Any = 1
            for i in (2, 1, 0, 3):  # the last of these that is not 0 decides
                part = quat[..., i : i + 1]
                sign = wnp.where(part == 0, sign, wnp.sign(part))
            quat = quat * sign
        return wnp.roll(quat, 1, -1) if scalar_first else quat

    def as_matrix(self) -> Value:
        """Matrices in the last two axes."""
        x, y, z, w = (self.quat[..., i] for i in range(4))
        rows = (
            (x * x - y * y - z * z + w * w, 2 * (x * y - z * w), 2 * (x * z + y * w)),
            (2 * (x * y + z * w), y * y - x * x - z * z + w * w, 2 * (y * z - x * w)),
            (2 * (x * z - y * w), 2 * (y * z + x * w), z * z - x * x - y * y + w * w),
        )
        return wnp.stack([wnp.stack(row, -1) for row in rows], -2)

    def as_rotvec(self, degrees: bool = False) -> Value:
        """Axes whose lengths are the angles, from 0 to π."""
        vector, w = self._upper()
        sine = _norm(vector)
        angle = 2 * wnp.arctan2(sine, w)
        scale = wnp.where(sine > 1e-4, angle / wnp.where(sine > 1e-4, sine, 1), 2 + sine**2 / 3)
        return (wnp.rad2deg(scale) if degrees else scale) * vector

    def as_mrp(self) -> Value:
        """Modified Rodrigues parameters: axes of length tan(angle / 4)."""
        vector, w = self._upper()
        return vector / (1 + w)

    def as_euler(self, seq: str, degrees: bool = False) -> Value:
        """Three angles about the axes of `seq`, as for `from_euler`.

        Where the first and the last axis coincide, one of their angles is 0 (Bernardes and Viollet,
        2022).
        """
        axes, intrinsic = _axes(seq, "Rotation.as_euler")
        if len(axes) != 3:
            raise ValueError(
                f"weft.scipy.spatial.transform.Rotation.as_euler: three axes, got {seq!r}"
            )
        i, j, k = axes[::-1] if intrinsic else axes
        proper = i == k
        k = 3 - i - j if proper else k
        sign = (i - j) * (j - k) * (k - i) // 2
        x, w = [self.quat[..., n] for n in range(3)], self.quat[..., 3]
        a, b = (w, x[i]) if proper else (w - x[j], x[i] + sign * x[k])
        c, d = (x[j], sign * x[k]) if proper else (x[j] + w, sign * x[k] - x[i])
        middle = 2 * wnp.arctan2(wnp.hypot(c, d), wnp.hypot(a, b))
        half_sum, half_difference = wnp.arctan2(b, a), wnp.arctan2(d, c)
        at_zero, at_turn = abs(middle) <= 1e-7, abs(middle - np.pi) <= 1e-7
        way = 1 if intrinsic else -1
        alone = wnp.where(at_zero, 2 * half_sum, 2 * half_difference * way)
        first, last = half_sum - half_difference, half_sum + half_difference
        degenerate = at_zero | at_turn
        if intrinsic:
            first, last = last, first
        first, last = wnp.where(degenerate, alone, first), wnp.where(degenerate, 0, last)
        if not proper:
            middle = middle - np.pi / 2
            # The angle about the axis that was numbered last.
            if intrinsic:
                first = first * sign
            else:
                last = last * sign
        angles = wnp.stack([first, middle, last], -1)
        angles = wnp.mod(angles + np.pi, 2 * np.pi) - np.pi
        return wnp.rad2deg(angles) if degrees else angles

    def magnitude(self) -> Value:
        """The angles, from 0 to π."""
        vector, w = self._upper()
        return 2 * wnp.arctan2(_norm(vector), w)[..., 0]

    def _upper(self) -> tuple[Value, Value]:
        """The quaternions with positive last component, in two parts."""
        quat = wnp.where(self.quat[..., 3:] < 0, -self.quat, self.quat)
        return quat[..., :3], quat[..., 3:]

    # ------------------------------------------------------------ using

    def apply(self, vectors: ArrayLike, inverse: bool = False) -> Value:
        """Vectors of the last axis, turned; other axes broadcast with those of the rotations."""
        x = _array("Rotation.apply", vectors, 3)
        matrix = self.as_matrix()
        turned = wnp.swapaxes(matrix, -1, -2) if inverse else matrix
        return wnp.sum(turned * x[..., None, :], -1)

    def inv(self) -> Rotation:
        """The inverse rotations."""
        return Rotation(self.quat * np.array([-1, -1, -1, 1], self.quat.dtype))

    def mean(self, weights: ArrayLike | None = None) -> Rotation:
        """The rotation nearest to all, in the sense of chords (Markley et al., 2007)."""
        count = len(self)
        w = wnp.ones(count) if weights is None else wnp.asarray(weights)
        if w.shape != (count,):
            raise ValueError(
                "weft.scipy.spatial.transform.Rotation.mean: a weight for each of "
                f"{count} rotations, got shape {w.shape}"
            )
        products = (w.astype(self.quat.dtype)[:, None] * self.quat).T @ self.quat
        return Rotation(_principal_axis(products))

    @property
    def single(self) -> bool:
        """Whether this is one rotation, not a vector of them."""
        return self.quat.ndim == 1

    def __mul__(self, other: Any) -> Rotation:
        if not isinstance(other, Rotation):
            return NotImplemented
        return Rotation.from_quat(_product(self.quat, other.quat))

    def __getitem__(self, indexer: Any) -> Any:
        if self.single:
            raise TypeError("weft.scipy.spatial.transform: a single Rotation has no elements")
        return Rotation(self.quat[indexer])

    def __len__(self) -> int:
        if self.single:
            raise TypeError("weft.scipy.spatial.transform: a single Rotation has no len()")
        return self.quat.shape[0]


def _product(p: Value, q: Value) -> Value:
    """Hamilton's product: q and then p."""
    a, b, v, w = p[..., :3], q[..., :3], p[..., 3:], q[..., 3:]
    return wnp.concatenate(
        [v * b + w * a + wnp.cross(a, b), v * w - wnp.sum(a * b, -1, keepdims=True)], -1
    )


def _axes(seq: str, name: str) -> tuple[list[int], bool]:
    """The axes of an Euler sequence as numbers, and whether they turn along."""
    known = set(seq) <= set("xyz") or set(seq) <= set("XYZ")
    twice = any(a == b for a, b in pairwise(seq))
    if not (1 <= len(seq) <= 3 and known) or twice:
        raise ValueError(
            f"weft.scipy.spatial.transform.{name}: seq is one to three of 'xyz' (fixed axes) or of "
            f"'XYZ' (turning ones), no axis twice in a row; got {seq!r}"
        )
    return ["xyz".index(c) for c in seq.lower()], seq.isupper()


class Slerp(NamedTuple):
    """Rotations between given ones, along the shortest arcs at constant speed (Shoemake, 1985).

    Made by :meth:`init` from times and rotations; called with times.

    >>> Rotation = weft.scipy.spatial.transform.Rotation
    >>> ends = Rotation.from_euler("x", np.asarray([[0.0], [90.0]]), degrees=True)
    >>> between = weft.scipy.spatial.transform.Slerp.init(np.asarray([0.0, 1.0]), ends)
    >>> np.round(between(0.5).as_rotvec(degrees=True), 3)
    Array([45.,  0.,  0.], dtype=float32)
    """

    times: Value
    timedelta: Value
    rotations: Rotation
    rotvecs: Value

    @classmethod
    def init(cls, times: ArrayLike, rotations: Rotation) -> Slerp:
        """From ascending times and as many rotations, two at least."""
        name = "weft.scipy.spatial.transform.Slerp.init"
        if not isinstance(rotations, Rotation):
            raise TypeError(f"{name}: rotations are a Rotation, got {type(rotations).__name__}")
        if rotations.single or len(rotations) < 2:
            raise ValueError(f"{name}: two rotations at least")
        times = wnp.asarray(times, rotations.quat.dtype)
        if times.shape != (len(rotations),):
            raise ValueError(
                f"{name}: a time for each of {len(rotations)} rotations, got shape {times.shape}"
            )
        first, second = Rotation(rotations.quat[:-1]), Rotation(rotations.quat[1:])
        return cls(times, wnp.diff(times), first, (first.inv() * second).as_rotvec())

    def __call__(self, times: ArrayLike) -> Rotation:
        """The rotations at times: a number or a vector; beyond the ends it goes on turning."""
        at = wnp.asarray(times, self.times.dtype)
        if at.ndim > 1:
            raise ValueError(
                "weft.scipy.spatial.transform.Slerp: times are a number or a vector, got shape "
                f"{at.shape}"
            )
        last = self.timedelta.shape[0] - 1
        place = wnp.clip(wnp.searchsorted(self.times, at) - 1, 0, last)
        share = (at - self.times[place]) / self.timedelta[place]
        turn = Rotation.from_rotvec(self.rotvecs[place] * share[..., None])
        return Rotation(self.rotations.quat[place]) * turn
