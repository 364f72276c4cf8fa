"""What a person types with a decision: moments out of this world, and text that a terminal would obey."""

import pytest

from tests.acceptance.support import Site


@pytest.mark.parametrize("until", ["9999-12-31 23:59", "0001-01-01", "18:00", "3000000d", "2026-12-24 18:00 Europe/Berlin"])
def test_a_moment_that_cannot_be_meant(site: Site, until: str) -> None:
    """It is refused in words, on both sides of Greenwich and at both ends of the calendar."""
    for zone in ("America/New_York", "Asia/Tokyo"):
        done = site.command.run(
            "--config", site.config, "pause", "emea", "--until", until, "--reason", "x", env={"LICSYNC_SCHEDULE__TIMEZONE": zone}
        )
        if (until, zone) == ("9999-12-31 23:59", "Asia/Tokyo"):
            assert done.code == 0  # far away, but it is a moment
        else:
            assert (done.code, "--until" in done.err, "Traceback" in done.err) == (2, True, False)


def test_text_is_kept_as_one_printable_line(site: Site) -> None:
    """A reason or a ticket can neither color a terminal nor bring an address into the state."""
    reason = "asked \x1b[31m mona@example.com\x07\nfirst"
    assert site.run("pause", "emea", "--until", "3d", "--reason", reason, "--ticket", "CHG-1\x1b[2J\n").code == 0
    shown = site.run("history").out + site.run("status").out
    assert "asked [address] first" in shown
    assert "CHG-1" in shown
    assert "\x1b" not in shown
    state = (site.state_dir / "state.db").read_bytes()
    assert b"mona@example.com" not in state
    assert b"\x1b[" not in state


@pytest.mark.parametrize("reason", ["", "  ", "\x1b\x07"])
def test_a_decision_needs_a_reason(site: Site, reason: str) -> None:
    """Nothing that can be read is no reason."""
    done = site.run("pause", "emea", "--until", "3d", "--reason", reason)
    assert (done.code, "a reason is required" in done.err) == (2, True)


@pytest.mark.parametrize("gone", [True, False], ids=["retired", "disabled"])
def test_what_nobody_would_send_is_not_approved(site: Site, gone: bool) -> None:
    """An approval of a retired or disabled instance would wait for ever, and is refused; the run can still be rejected."""
    site.confirm_last_week("amer")
    site.shrink("amer")
    assert site.run("--run-now", "amer").code == 5
    run = site.last("amer")
    assert run is not None
    text = site.config.read_text(encoding="utf-8")
    if gone:
        site.config.write_text(text.partition("[instances.amer]")[0], encoding="utf-8")
    else:
        site.extend("amer", "enabled = false")
    done = site.run("approve", run.run_id, "--reason", "right")
    assert (done.code, "nothing would send it: amer is not configured or is excluded from sync" in done.err) == (2, True)
    assert site.run("reject", run.run_id, "--reason", "gone").code == 0
