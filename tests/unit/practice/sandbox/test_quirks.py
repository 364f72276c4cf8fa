"""Which quirks are on."""

import pytest

from licsync_daemon.practice.sandbox.quirks import NAMES, Quirks


@pytest.mark.parametrize(
    ("chosen", "on"),
    [("all", set(NAMES)), ("off", set()), ("seats_as_string, unknown_fields", {"seats_as_string", "unknown_fields"}), ("", set())],
)
def test_they_are_chosen_by_name(chosen, on):
    assert Quirks(chosen).names == on


def test_an_unknown_one_is_refused_with_the_known_names():
    with pytest.raises(ValueError, match=r"unknown quirk nonsense; known: all, off, two_factor"):
        Quirks("nonsense")


def test_names_are_unique():
    assert len(set(NAMES)) == len(NAMES)
