"""Discoveries are made by search: without the parts that search, they are not made."""

from __future__ import annotations

from tests.discoveries.catalog import DISCOVERIES, PARTS, lost


def test_the_whole_makes_every_discovery() -> None:
    assert [d.name for d in lost()] == []


def test_without_rules_most_are_lost() -> None:
    assert len({d.name for d in DISCOVERIES}) == len(DISCOVERIES)
    gone = lost(*PARTS)
    assert len(gone) >= 15
    # What is left is made beneath the optimiser.
    assert [d.name for d in DISCOVERIES if d not in gone] == [
        d.name for d in DISCOVERIES if d.beneath
    ]
