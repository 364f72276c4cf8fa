"""Another daemon takes over within the limits that docs/high-availability.md names, whatever happens to the leader."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import postgresql
from tests.torture.takeover import BREAK, LIMIT_S, ROUNDS, one_round, practice


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", BREAK)
def test_another_one_leads_and_makes_up_for_the_run(
    tmp_path: Path, own_postgresql: postgresql.Server, rounds: Callable[[int], int], kind: str
) -> None:
    """Within the limit; the run of the old leader is confirmed, with one upload."""
    chance = random.Random(7)
    with practice(tmp_path / "fleet") as site:
        for _ in range(1 if kind in ROUNDS else rounds(3)):
            found = one_round(kind, own_postgresql, site, chance.uniform(0, 1.5))
            assert found.takeover_s <= LIMIT_S[kind]
            assert (found.state, found.uploads) == ("confirmed", 1)
