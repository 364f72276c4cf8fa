"""Secrets and addresses in foreign text."""

import re
from pathlib import Path

import pytest

import licsync_daemon
from licsync_daemon.model.secrets import SECRET_KEYS, redact
from licsync_daemon.model.text import PLAIN, Invocation, clean, command, commands

HELP = re.compile(r"`licsync-daemon|licsync-daemon (?:--run-now|acknowledge|approve|check|config|history|outbox|payload|reject|status)\b")
LITERAL = {"cli/parser.py", "cli/main.py", "cli/starter.py", "__main__.py"}  # help, comments, and a file for any machine


def test_a_command_can_be_typed_as_it_is_shown(subtests: pytest.Subtests) -> None:
    """The program, its configuration and its user; text without the placeholder is left alone."""
    for invocation, typed in [
        (PLAIN, "licsync-daemon"),
        (Invocation(config=Path("/my fleet/config.toml")), "licsync-daemon --config '/my fleet/config.toml'"),
        (Invocation(owner="licsync"), "sudo -u licsync licsync-daemon"),
        (Invocation(program=("/opt/licsync/bin/licsync-daemon",), owner="licsync"), "sudo -u licsync /opt/licsync/bin/licsync-daemon"),
        (Invocation(program=("python", "-m", "licsync_daemon")), "python -m licsync_daemon"),
    ]:
        with subtests.test(invocation=invocation, typed=typed):
            assert (
                command("either $licsync approve 1f, or $licsync reject 1f", invocation)
                == f"either {typed} approve 1f, or {typed} reject 1f"
            )
            assert command("licsync-daemon status", invocation) == "licsync-daemon status"
            assert commands({"a": ["$licsync status", None, 1], "b": ("$licsync",)}, invocation) == {
                "a": [f"{typed} status", None, 1],
                "b": [typed],
            }


def test_no_message_names_a_command_but_with_the_placeholder() -> None:
    """A literal one would lack the configuration and the user."""
    root = Path(licsync_daemon.__file__).parent
    texts = {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in root.rglob("*.py") if "practice" not in path.parts}
    assert [name for name, text in texts.items() if HELP.search(text) and name not in LITERAL] == []
    assert sum("$licsync " in text for text in texts.values()) > 5


CLASSIC = "ghp_" + "a1B2" * 9
FINE = "github_pat_" + "a1B2_" * 16


def test_redaction(subtests: pytest.Subtests) -> None:
    """Tokens, passwords of proxies and mail addresses go; everything else stays."""
    for text, redacted in [
        ("nothing to hide", "nothing to hide"),
        (CLASSIC, "[token]"),
        (f"with {CLASSIC}.", "with [token]."),
        (f"token={FINE}", "token=[token]"),
        *((f"gh{letter}_{'x' * 16}", "[token]") for letter in "pousr"),
        ("ghp_short", "ghp_short"),
        ("Authorization: Bearer abc.def-ghi_jkl", "Authorization: Bearer [token]"),
        ("Basic bW9uYTpzZWNyZXQ=", "Basic [token]"),
        ("http://user:hunter2@proxy.example.com:3128/", "http://[credentials]@proxy.example.com:3128/"),
        ("https://api.github.com:443/x", "https://api.github.com:443/x"),
        ("mona@example.com", "[address]"),
        ("<mona.lisa+tag@sub.example.co.uk>, done", "<[address]>, done"),
        ("мона@пример.рф", "[address]"),
        ("mona@localhost", "mona@localhost"),
        ("users @ 5", "users @ 5"),
        (f"{CLASSIC} mona@example.com {FINE}", "[token] [address] [token]"),
        ("", ""),
    ]:
        with subtests.test(text=text, redacted=redacted):
            assert redact(text) == redacted


def test_keys_that_name_secrets(subtests: pytest.Subtests) -> None:
    """A field with such a name is never shown, whatever it holds."""
    for key in ["token", "github_token", "Authorization", "proxy_auth", "PASSWORD", "client-secret", "tokens"]:
        with subtests.test(key=key):
            assert SECRET_KEYS.search(key)


def test_keys_that_name_none(subtests: pytest.Subtests) -> None:
    """Our own fields are shown."""
    for key in ["event", "instance", "run_id", "cause", "next_step", "key"]:
        with subtests.test(key=key):
            assert not SECRET_KEYS.search(key)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("two\nlines\r\n\tand  blanks ", "two lines and blanks"),
        ("bell\a and \x1b[31mred\x1b[0m", "bell and red"),
        ("zero\u200bwidth and \u202eright to left", "zerowidth and right to left"),
        ("half \ud800 character", "half character"),
        ("mona@example.com", "[address]"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 199 + "…"),
    ],
    ids=["lines", "control characters", "invisible", "half a character", "address", "at the limit", "past the limit"],
)
def test_cleaning(text: str, cleaned: str) -> None:
    """Foreign text becomes one printable, redacted line of bounded length."""
    assert clean(text) == cleaned
