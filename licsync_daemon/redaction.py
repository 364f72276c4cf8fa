"""Take secrets and mail addresses out of text that comes from elsewhere, before it is logged, shown or stored. Pure."""

import re

SECRET_KEYS = re.compile(r"token|secret|password|authorization|proxy_auth", re.IGNORECASE)
PATTERNS = (
    (re.compile(r"\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{10,}"), "[token]"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "[token]"),  # the form of GitHub's tokens before they had prefixes
    (re.compile(r"\b(Bearer|Basic|token)\s+[A-Za-z0-9+/=._~-]{8,}"), r"\1 [token]"),
    (re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+@"), "[credentials]@"),
    (re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)+"), "[address]"),
)


def redact(text: str) -> str:
    """Answer `text` without tokens, passwords in addresses of proxies, and mail addresses."""
    for pattern, instead in PATTERNS:
        text = pattern.sub(instead, text)
    return text


def clean(text: str, limit: int = 200) -> str:
    """Make foreign text safe to show: redacted, printable characters only, one line, at most `limit` of them."""
    one_line = " ".join(redact(text).split())
    printable = "".join(char for char in one_line if char.isprintable())
    return printable if len(printable) <= limit else printable[: limit - 1] + "…"
