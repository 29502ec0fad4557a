"""Random jaxprs mean the same as the terms they are lowered to."""

from __future__ import annotations

from hypothesis import given, settings

from tests.terms.programs import agree_closed, programs


@given(programs())
@settings(max_examples=150)
def test_terms_mean_what_the_jaxpr_means(case):
    closed, args = case
    agree_closed(closed, *args)
