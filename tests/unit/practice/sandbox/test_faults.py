"""Which requests a fault affects, and how often."""

import pytest

from licsync_daemon.practice.sandbox import Fault
from licsync_daemon.practice.sandbox.faults import KINDS, Faults
from licsync_daemon.practice.sandbox.mishaps import _KINDS


def faults(*given):
    result = Faults()
    for fault in given:
        result.add(fault)
    return result


def test_it_affects_a_server_and_a_path_prefix(subtests):
    for server, path, hit in (
        ("emea", "/api/v3/meta", True),
        ("emea", "/api/v3/", True),
        ("emea", "/api/v2", False),
        ("amer", "/api/v3/meta", False),
        ("cloud", "/api/v3/meta", False),
    ):
        with subtests.test(server=server, path=path):
            assert hit == (faults(Fault("emea", "/api/v3/", "reset")).take(server, path) is not None)


def test_the_oldest_comes_first_until_it_is_used_up():
    some = faults(Fault("emea", "/", "reset", times=1), Fault("emea", "/", "hang"))

    assert [some.take("emea", "/").kind for _ in range(3)] == ["reset", "hang", "hang"]


def test_every_kind_has_its_function():
    assert set(_KINDS) == KINDS


@pytest.mark.parametrize("wrong", [{"kind": "explode"}, {"kind": "reset", "times": 0}])
def test_invalid_faults_are_refused(wrong):
    with pytest.raises(ValueError, match=r"unknown fault kind|less than 1"):
        Fault("emea", "/", **wrong)
