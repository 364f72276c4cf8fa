"""Where the state is, also if the configuration is refused."""

from pathlib import Path

import pytest

from licsync_daemon.settings.state_dir import likely_state_dir

DEFAULT = Path("/var/lib/licsync")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'state_dir = "/srv/a"\n[instances.emea]\nhostnam = 1\n', Path("/srv/a")),
        (b'state_dir = "/srv/a"\n[instances\n', Path("/srv/a")),
        (b"state_dir = '/srv/a'\n]]\n", Path("/srv/a")),
        (b"\xff\xfe\x00", DEFAULT),
        (b"state_dir = 7", DEFAULT),
        (b'state_dir = ""', DEFAULT),
        (b"", DEFAULT),
        (None, DEFAULT),
    ],
)
def test_the_state_is_found(content: bytes | None, expected: Path) -> None:
    """In a file with a mistake, in one that is not TOML, and without any; the environment comes first, as for a good one."""
    assert likely_state_dir(content, {}) == expected
    assert likely_state_dir(content, {"LICSYNC_STATE_DIR": "/srv/b"}) == Path("/srv/b")
