"""Every rule by itself: small, honest about its class, and sound on everything that it writes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.saturate.engine import Engine, Run
from weft.saturate.evaluate import Evaluator, disagreements
from weft.saturate.rule import CLASSES, Rule
from weft.saturate.rules.themes import RULES

EXTENTS = (2, 3, 2, 1)
F64, I64 = 2, 103


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_a_rule_is_small_and_recognises_no_algorithm(rule: Rule) -> None:
    assert 1 <= len(rule.operators) <= 5
    assert rule.numerics in CLASSES
    text = rule.left + rule.right
    assert not ("exp" in text and "max" in text)


def test_names_of_rules_are_unique() -> None:
    names = [r.name for r in RULES]
    assert len(set(names)) == len(names)


@st.composite
def programs(draw: st.DrawFn, code: int) -> list[tuple[str, str]]:
    """Nodes of terms and factors, each over earlier ones: (sort, text)."""
    nodes: list[tuple[str, str]] = []

    def pick(sort: str) -> str:
        places = [n for n, (s, _) in enumerate(nodes) if s == sort]
        return f"({'term' if sort == 'T' else 'factor'} {draw(st.sampled_from(places))})"

    for leaf in range(3):
        nodes.append(("T", f"(Leaf {leaf} {draw(st.integers(0, 15))})"))
    nodes.append(("F", f"(Of {pick('T')})"))
    divides = ["Div", "Over"] if code < 100 else []
    for _ in range(draw(st.integers(2, 9))):
        name = draw(
            st.sampled_from(
                ["Add", "Sub", "Mul", "Neg", "Sum", "Sum", "Last", "Times", "Of", "Select"]
                + divides
            )
        )
        if name in ("Add", "Sub", "Mul", "Div"):
            nodes.append(("T", f"({name} {code} {pick('T')} {pick('T')})"))
        elif name == "Neg":
            nodes.append(("T", f"(Neg {code} {pick('T')})"))
        elif name == "Select":
            zero = f"(Const {code} 0.0)"
            arms = [draw(st.sampled_from([pick("T"), zero])) for _ in range(2)]
            mask = draw(st.sampled_from([pick("T"), f"(Not {pick('T')})"]))
            nodes.append(("T", f"(Select 0 {mask} {arms[0]} {arms[1]})"))
        elif name in ("Sum", "Last"):
            nodes.append(("T", f"({name} {code} {draw(st.integers(1, 15))} {pick('F')})"))
        elif name == "Times":
            nodes.append(("F", f"(Times {code} {pick('F')} {pick('F')})"))
        elif name == "Over":
            nodes.append(("F", f"(Over {code} {pick('T')})"))
        else:
            nodes.append(("F", f"(Of {pick('T')})"))
    return nodes


def text_of(nodes: list[tuple[str, str]]) -> str:
    names = {"T": "term", "F": "factor"}
    return "\n".join(f"(set ({names[s]} {n}) {text})" for n, (s, text) in enumerate(nodes))


def masks_of(nodes: list[tuple[str, str]]) -> list[int]:
    return [int(text.rstrip(")").split()[2]) for _, text in nodes[:3]]


def leaves(masks: list[int], element: object) -> list[np.ndarray]:
    """An array for each leaf, without a dimension that is not in its mask."""
    rng = np.random.default_rng(0)
    found = []
    for mask in masks:
        shape = [d if mask >> n & 1 else 1 for n, d in enumerate(EXTENTS)]
        values = rng.integers(1, 7, shape) * rng.choice([-1, 1], shape)
        found.append(element(values))
    return found


_engines: dict[str, Engine] = {}


def saturated(rule: Rule, nodes: list[tuple[str, str]], numerics: str = "domain"):
    engine = _engines.get(rule.name)
    if engine is None:
        engine = _engines[rule.name] = Engine([rule])
    return engine.saturate(text_of(nodes), numerics, Run(), most_nodes=200)


def _fractions(values: np.ndarray) -> np.ndarray:
    return np.vectorize(Fraction, otypes=[object])(values)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.all(a == b))


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
@settings(max_examples=25)
@given(data=st.data())
def test_a_rule_holds_for_rational_numbers(rule: Rule, data: st.DataObject) -> None:
    nodes = data.draw(programs(F64))
    graph = saturated(rule, nodes)
    arrays = leaves(masks_of(nodes), _fractions)
    evaluator = Evaluator(EXTENTS, arrays.__getitem__, Fraction)
    try:
        wrong = list(disagreements(graph, evaluator, _same))
    except ZeroDivisionError:
        return  # rational numbers know no infinity
    assert not wrong, f"rule {rule.name!r} wrote {wrong[0]}"


#: Numbers that are not like others, and some that are.
SPECIAL = np.array([0.0, -0.0, 1.0, -2.0, 3.0, np.inf, -np.inf, np.nan])


def _special(masks: list[int], extents: tuple[int, ...], seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = ([d if mask >> n & 1 else 1 for n, d in enumerate(extents)] for mask in masks)
    return [rng.choice(SPECIAL, shape) for shape in shapes]


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.all((a == b) & (np.signbit(a) == np.signbit(b)) | np.isnan(a) & np.isnan(b)))


def _same_where_finite(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal as sums are; and nothing that is no number becomes one, or the other way round."""
    finite = np.isfinite(a)
    if not np.array_equal(finite, np.isfinite(b)):
        return False
    return np.allclose(a[finite], b[finite], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("extents", [EXTENTS, (2, 0, 1, 1)], ids=["some", "empty"])
@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
@settings(max_examples=15)
@given(data=st.data())
def test_a_rule_of_each_class_holds_for_special_values(
    rule: Rule, extents: tuple[int, ...], data: st.DataObject
) -> None:
    nodes = data.draw(programs(F64))
    graph = saturated(rule, nodes)
    arrays = _special(masks_of(nodes), extents, data.draw(st.integers(0, 1 << 16)))
    same = _same_bits if rule.numerics == "exact" else _same_where_finite
    with np.errstate(all="ignore"):
        wrong = list(disagreements(graph, Evaluator(extents, arrays.__getitem__), same))
    assert not wrong, f"rule {rule.name!r} wrote {wrong[0]}"


@pytest.mark.parametrize("rule", [r for r in RULES if r.ring], ids=lambda r: r.name)
@settings(max_examples=15)
@given(data=st.data())
def test_a_ring_rule_keeps_the_bits_of_wrapping_integers(rule: Rule, data: st.DataObject) -> None:
    nodes = data.draw(programs(I64))
    graph = saturated(rule, nodes, "exact")
    # Near the ends of the range, so that most results wrap.
    arrays = leaves(masks_of(nodes), lambda x: x.astype(np.int64) << 60)
    evaluator = Evaluator(EXTENTS, arrays.__getitem__, np.int64)
    with np.errstate(all="ignore"):
        wrong = list(disagreements(graph, evaluator, _same))
    assert not wrong, f"rule {rule.name!r} wrote {wrong[0]}"


@pytest.mark.parametrize("numerics", CLASSES)
def test_a_level_allows_what_the_lower_ones_allow(numerics: str) -> None:
    below = CLASSES[: CLASSES.index(numerics) + 1]
    assert all(rule.allowed(numerics) == (rule.numerics in below) for rule in RULES)


def test_an_unsound_rule_is_found() -> None:
    wrong = Rule("wrong", "(Sub d a b)", "(Sub d b a)")
    nodes = [("T", "(Leaf 0 1)"), ("T", "(Leaf 1 1)"), ("T", "(Sub 2 (term 0) (term 1))")]
    graph = saturated(wrong, nodes)
    arrays = [np.array([1.0, 2.0]).reshape(2, 1, 1, 1), np.array([5.0, 3.0]).reshape(2, 1, 1, 1)]
    assert list(disagreements(graph, Evaluator(EXTENTS, arrays.__getitem__), _same))


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(ValueError, match="rule 'x': no numerical class 'fast'"):
        Rule("x", "(Neg d a)", "(Neg d a)", numerics="fast")
