"""Comparisons. Results are booleans; nothing here has a derivative."""

from __future__ import annotations

import numpy as np

from weft.primitives.elementwise import elementwise
from weft.primitives.rules import ANY, FLOAT, ORDERED

eq_p = elementwise("eq", ANY, 2, numpy=np.equal, result=np.bool_)
eq = eq_p.bind

ne_p = elementwise("ne", ANY, 2, numpy=np.not_equal, result=np.bool_)
ne = ne_p.bind

lt_p = elementwise("lt", ORDERED, 2, numpy=np.less, result=np.bool_)
lt = lt_p.bind

le_p = elementwise("le", ORDERED, 2, numpy=np.less_equal, result=np.bool_)
le = le_p.bind

gt_p = elementwise("gt", ORDERED, 2, numpy=np.greater, result=np.bool_)
gt = gt_p.bind

ge_p = elementwise("ge", ORDERED, 2, numpy=np.greater_equal, result=np.bool_)
ge = ge_p.bind

is_finite_p = elementwise("is_finite", FLOAT, 1, numpy=np.isfinite, result=np.bool_)
is_finite = is_finite_p.bind
