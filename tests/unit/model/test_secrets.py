"""Credentials in use, whatever form a text gives them."""

import base64
import html
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from licsync_daemon.model import secrets
from licsync_daemon.model.decode import host_of, name_of, quoted, release_of, unusable_count, word_of
from licsync_daemon.model.errors import Code, RunError
from licsync_daemon.model.secrets import MAX_REMEMBERED, SECRET, conceal, redact, remember
from licsync_daemon.model.text import PLAIN, clean, command, commands
from licsync_daemon.settings.credential_forms import Kind
from licsync_daemon.settings.credentials import Credentials

TOKEN = "relay-Key_0123456789/abc+def=="


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    secrets.forget_all()
    yield
    secrets.forget_all()


def escaped_all(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "in capitals": str.upper,
    "in lower case": str.lower,
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 for addresses": lambda value: base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
    **{
        f"base64 after {before!r}": lambda value, before=before: base64.b64encode(f"{before}:{value}".encode()).decode()  # type: ignore[misc]
        for before in ("a", "ab", "abc")
    },
    "in an address": lambda value: quote(value, safe=""),
    "in an address, lower case": lambda value: quote(value, safe="").lower(),
    "in a form": quote_plus,
    "every character escaped": escaped_all,
    "escaped twice": lambda value: quote(quote(value, safe=""), safe=""),
    "in JSON": lambda value: json.dumps(value)[1:-1].replace("/", "\\/"),
    "in JSON, as numbers": lambda value: "".join(f"\\u{ord(char):04x}" for char in value),
    "in JSON in JSON": lambda value: json.dumps(json.dumps({"key": value.replace("/", "\\/")})),
    "in HTML": lambda value: html.escape(value).replace("/", "&#x2F;").replace("=", "&#61;"),
    "with invisible characters": "\u200b".join,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [TOKEN, 'pass\'word "with" \\ & <all> of it', "pässwörter-mit-ümlaut"])
def test_a_credential_is_concealed_in_every_form(form: str, secret: str) -> None:
    """Quoted by a server in the middle of a sentence; the rest of the sentence stays."""
    remember(secret)
    shown = clean(f"the key '{FORMS[form](secret)}' is not known here", 4000)
    assert shown.startswith("the key ")
    assert shown.endswith("is not known here")
    assert SECRET in shown
    assert secret.casefold() not in shown.casefold()
    encoded = base64.b64encode(secret.encode()).decode()
    assert encoded[4:16] not in shown


def test_a_text_without_a_credential_is_returned_as_it_is() -> None:
    """Escapes included: nothing is decoded unless it hides something."""
    remember(TOKEN)
    for text in ("", "abc", "50%25 of \\u0041 &amp; more", "relay-Key_0123", "x" * 5000):
        assert conceal(text) == text


def test_the_parts_of_a_credential_are_concealed_too() -> None:
    """The password of `USER:PASSWORD`, and the keys in a part of an address."""
    remember("svc:hunter2-hunter2")
    remember("/services/T0001/B0002/kkkkkkkkkkkkkkkkkkkkkkkk?sig=ssssssssssssssss")
    assert conceal("user svc: hunter2-hunter2 is wrong") == f"user svc: {SECRET} is wrong"
    assert conceal("no services hook kkkkkkkkkkkkkkkkkkkkkkkk (ssssssssssssssss)") == f"no services hook {SECRET} ({SECRET})"


def test_a_short_password_is_concealed_as_a_word() -> None:
    """It may be a part of ordinary words."""
    remember("user")
    assert conceal("user 'user' is no superuser of users") == f"{SECRET} '{SECRET}' is no superuser of users"
    remember("x:ab")
    assert conceal("ab") == "ab"


def test_two_credentials_that_overlap_are_both_concealed() -> None:
    """The longest match at a place counts."""
    remember("abcdefgh")
    remember("abcdefghijklmnop")
    assert conceal("abcdefghijklmnop abcdefgh") == f"{SECRET} {SECRET}"


def test_whatever_reads_a_credential_registers_it(tmp_path: Path) -> None:
    """And everything that quotes then conceals: errors, commands in messages, JSON, log lines."""
    names = ("token",)
    Credentials(tmp_path, {"LICSYNC_TOKEN": TOKEN}, tmp_path).text(names, Kind.DELIVERY_TOKEN)
    error = RunError(Code.REJECTED, f"it said: {TOKEN}", f"use {TOKEN}")
    for text in (error.cause, error.next_step, str(error), command(TOKEN, PLAIN), str(commands({"a": [TOKEN]}, PLAIN)), redact(TOKEN)):
        assert TOKEN not in text
        assert SECRET in text


def test_rotated_credentials_do_not_pile_up() -> None:
    """The least recently read ones are forgotten, and leave nothing behind."""
    remember("svc:shared-password")
    for number in range(MAX_REMEMBERED + 10):
        remember(f"rotated-credential-{number:06}")
        if number == MAX_REMEMBERED - 5:
            remember("svc:shared-password")
    assert len(secrets._remembered) == MAX_REMEMBERED
    assert conceal("rotated-credential-000000 shared-password") == f"rotated-credential-000000 {SECRET}"
    secrets.forget_all()
    assert conceal("shared-password") == "shared-password"


def test_a_credential_is_concealed_before_a_quotation_is_cut(subtests: pytest.Subtests) -> None:
    """Half of a credential that the end of a quotation cut off would not be recognized later."""
    remember(TOKEN)
    for at in range(0, 70, 5):
        with subtests.test(at=at):
            text = "x" * at + " " + TOKEN
            for found in (
                quoted(text),
                str(word_of(text)),
                release_of(text),
                str(name_of(text)),
                str(host_of(text)),
                str(unusable_count(text)),
            ):
                assert TOKEN[:8].lower() not in found.lower()


def test_a_short_credential_does_not_change_a_name() -> None:
    """An instance whose name is also someone's password is still recognized."""
    remember("emea-2026")
    assert (host_of("ghes.emea-2026.example.com"), name_of("emea-2026")) == ("ghes.emea-2026.example.com", "emea-2026")
    assert conceal("the password emea-2026") == f"the password {SECRET}"
