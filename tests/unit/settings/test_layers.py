"""Laying tables over each other."""

from typing import Any

import pytest

from licsync_daemon.settings.layers import lay, lay_schedule, merge, table

A_SOURCE_IS_LAID_KEY_BY_KEY_AND_REPLACED_BY_ANOTHER_KIND = [
    ({}, {"kind": "report", "username": "a"}, {"kind": "report", "username": "a"}),
    ({"username": "b"}, {"kind": "report", "username": "a"}, {"kind": "report", "username": "b"}),
    ({"kind": "report"}, {"kind": "report", "username": "a"}, {"kind": "report", "username": "a"}),
    ({"kind": "ssh"}, {"kind": "report", "username": "a"}, {"kind": "ssh"}),
    ({"kind": "report"}, {"username": "a"}, {"kind": "report", "username": "a"}),
]


def test_a_source_is_laid_key_by_key_and_replaced_by_another_kind(subtests: pytest.Subtests) -> None:
    """Keys of the instance win, and another kind takes nothing from the defaults."""
    for over, under, expected in A_SOURCE_IS_LAID_KEY_BY_KEY_AND_REPLACED_BY_ANOTHER_KIND:
        with subtests.test(over=over, under=under, expected=expected):
            assert expected == lay(over, under)


A_CRON_EXPRESSION_AND_A_WEEKDAY_REPLACE_EACH_OTHER = [
    ({"day": "sunday"}, {"day": "monday", "time": "02:00"}, {"day": "sunday", "time": "02:00"}),
    ({"cron": "1 2 * * 3"}, {"day": "monday", "time": "02:00", "max_age": "9d"}, {"cron": "1 2 * * 3", "max_age": "9d"}),
    ({"day": "sunday", "time": "02:00"}, {"cron": "1 2 * * 3"}, {"day": "sunday", "time": "02:00"}),
    ({"time": "02:00"}, {"cron": "1 2 * * 3"}, {"time": "02:00"}),
    ({"timezone": "UTC"}, {"cron": "1 2 * * 3"}, {"cron": "1 2 * * 3", "timezone": "UTC"}),
]


def test_a_cron_expression_and_a_weekday_replace_each_other(subtests: pytest.Subtests) -> None:
    """An instance has one kind of planned time only, whatever the general schedule has."""
    for over, under, expected in A_CRON_EXPRESSION_AND_A_WEEKDAY_REPLACE_EACH_OTHER:
        with subtests.test(over=over, under=under, expected=expected):
            assert expected == lay_schedule(over, under)


def test_merging_goes_down_to_single_keys() -> None:
    """Merging keeps what only one side has at every depth, and changes neither side."""
    over: dict[str, Any] = {"a": {"b": {"c": 1}}, "x": {"y": 1}}
    under: dict[str, Any] = {"a": {"b": {"c": 0, "d": 2}}, "x": "text"}
    assert merge(over, under) == {"a": {"b": {"c": 1, "d": 2}}, "x": {"y": 1}}
    assert under == {"a": {"b": {"c": 0, "d": 2}}, "x": "text"}


def test_a_table_that_is_none_is_empty(subtests: pytest.Subtests) -> None:
    """Anything but a table is read as an empty one."""
    for raw in [{}, {"a": "text"}, {"a": {"b": [1]}}, [], None]:
        with subtests.test(raw=raw):
            assert table(raw, "a", "b") == {}
