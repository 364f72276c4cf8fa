"""Which request a fault hits, and how often."""

import pytest

from licsync_daemon.practice.sandbox import Fault
from licsync_daemon.practice.sandbox.faults import KINDS, Faults
from licsync_daemon.practice.sandbox.mishaps import _KINDS


def faults(*given):
    result = Faults()
    for fault in given:
        result.add(fault)
    return result


@pytest.mark.parametrize(
    ("server", "path", "hit"),
    [
        ("emea", "/api/v3/meta", True),
        ("emea", "/api/v3/", True),
        ("emea", "/api/v2", False),
        ("amer", "/api/v3/meta", False),
        ("cloud", "/api/v3/meta", False),
    ],
)
def test_it_hits_by_server_and_beginning_of_the_path(server, path, hit):
    assert hit == (faults(Fault("emea", "/api/v3/", "reset")).take(server, path) is not None)


def test_the_oldest_hits_first_and_a_spent_one_makes_room():
    some = faults(Fault("emea", "/", "reset", times=1), Fault("emea", "/", "hang"))

    assert [some.take("emea", "/").kind for _ in range(3)] == ["reset", "hang", "hang"]


def test_every_kind_has_its_mishap():
    assert set(_KINDS) == KINDS


@pytest.mark.parametrize("wrong", [{"kind": "explode"}, {"kind": "reset", "times": 0}])
def test_it_refuses_nonsense(wrong):
    with pytest.raises(ValueError, match=r"unknown fault kind|less than 1"):
        Fault("emea", "/", **wrong)
