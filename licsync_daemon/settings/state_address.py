"""Where the state is: checked, without a password. Pure."""

import re
from urllib.parse import parse_qsl, urlsplit

from licsync_daemon.settings.mistakes import Mistake

_STATE_EXAMPLE = 'for example "postgresql://licsync@db.example.com/licsync?sslmode=verify-full"'
_OF_PASSWORD = "put the password into the credential state_password, and delete it here"  # noqa: S105 - an instruction
_OURS = {"options", "target_session_attrs", "application_name", "client_encoding"}  # set by the program


def state_address(text: str) -> str:
    """Return where the state is: "sqlite", "postgresql", or the address of a PostgreSQL database without a password.

    Raises:
        Mistake: Anything else.
    """
    place = text.strip()
    if place.lower() in {"sqlite", "postgresql"}:
        return place.lower()
    scheme, separator, rest = place.partition("://")
    if scheme not in {"postgresql", "postgres"} or not separator or re.search(r"\s|[^\x20-\x7e]", place):
        raise Mistake('the state is "sqlite", "postgresql", or the address of a PostgreSQL database', _STATE_EXAMPLE)
    try:
        parts = urlsplit(place)
        keys = {key.lower() for key, _ in parse_qsl(parts.query, keep_blank_values=True)}
    except ValueError:
        raise Mistake("not a valid address", _STATE_EXAMPLE) from None
    if parts.password is not None or "password" in keys or rest.count("@") > 1:
        raise Mistake("a password is not allowed in this address", _OF_PASSWORD)
    if not parts.path.strip("/") and "dbname" not in keys:
        raise Mistake("the address names no database", _STATE_EXAMPLE)
    if taken := sorted(keys & _OURS):
        raise Mistake(f"{taken[0]} is set by this program", "delete it from the address")
    return place
