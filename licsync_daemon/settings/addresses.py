"""Hostnames and URLs: checked and put into normal form. Pure; nothing is resolved or contacted.

No text here repeats a URL that could carry a password or a key.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from licsync_daemon.settings.mistakes import Mistake

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_UNSAFE = re.compile(r"[\s\\\x00-\x20\x7f-\x9f]")
_KEEP_SECRETS_APART = "put user names, passwords and keys into credentials, never into an address"

# Metadata services of cloud machines, which return the machine's own credentials, where they are not link-local as 169.254.169.254 is.
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html, https://cloud.google.com/compute/docs/metadata/querying-metadata,
# https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata, https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16,
# https://docs.oracle.com/iaas/Content/Compute/Tasks/gettingmetadata.htm, https://www.scaleway.com/en/docs/
_METADATA = frozenset(
    {
        *(
            "metadata",
            "metadata.google.internal",
            "metadata.goog",
            "instance-data",
            "instance-data.ec2.internal",
            "metadata.tencentyun.com",
            "metadata.packet.net",
            "metadata.platformequinix.com",
        ),
        *map(
            ip_address,
            ("fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
        ),
    }
)
_NAT64, _LOCAL_NAT64 = ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48")
_COMPATIBLE, _TRANSLATED = ip_network("::/96"), ip_network("::ffff:0:0:0/96")
_BROADCAST = IPv4Address("255.255.255.255")


def normal_hostname(text: str) -> str:
    """Return `text` in lower case, with its port if it has one.

    Raises:
        Mistake: A URL, a path or a user name, or not a valid name.
    """
    host = text.strip().lower()
    if "@" in host:
        raise Mistake("a hostname must not contain a user name or a password", 'use only the name, for example "ghes.example.com"')
    if "://" in host:
        raise Mistake("this is a URL, not a hostname", 'use only the name, for example "ghes.example.com"; `url` overrides the address')
    if "/" in host or "?" in host or "#" in host:
        raise Mistake("a hostname must not have a path", 'use only the name, for example "ghes.example.com"')
    name, colon, port = host.partition(":")
    if colon and not (re.fullmatch(r"[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
        raise Mistake("not a valid hostname, or its port is not a number from 1 to 65535", 'for example "ghes.example.com"')
    return _normal_name(name) + (f":{int(port)}" if colon else "")


def without_port(host: str) -> str:
    """Return the name alone, as the cloud lists it."""
    return host.partition(":")[0]


def normal_url(text: str, *, for_query: str = _KEEP_SECRETS_APART) -> str:
    """Return an `https` address (or `http` to this machine) without a trailing slash.

    Args:
        text: The address.
        for_query: The suggestion if it has a query.

    Raises:
        Mistake: Another scheme, plain http elsewhere, a user name, a query or a fragment, a refused or malformed host.
    """
    parts = _split(text, for_query)
    if parts.scheme not in {"http", "https"}:
        raise Mistake("the address must start with https://", 'for example "https://relay.example.com/uploads"')
    host = _host(parts)
    if parts.scheme == "http" and not is_loopback(host):
        raise Mistake("plain http is allowed on this machine only (127.0.0.1, ::1, localhost)", "use https://")
    return _joined(parts, host) + parts.path.rstrip("/")


def instance_url(text: str) -> str:
    """Return the address of a GHES as `normal_url` does.

    Raises:
        Mistake: As `normal_url`; or the address of its API, which other programs ask for.
    """
    url = normal_url(text)
    base = re.sub(r"/api(?:/v3|/graphql)?$", "", url, flags=re.IGNORECASE)
    if base != url:
        raise Mistake("this is the address of the instance's API; licsync-daemon adds /api/v3 itself", f'use "{base}"')
    return url


def cloud_url(text: str) -> str:
    """Return the address of a cloud's REST API as `normal_url` does.

    Raises:
        Mistake: As `normal_url`; or another address of github.com or GHE.com than that of its REST API.
    """
    bare = text.strip()
    url = normal_url(bare if "://" in bare or "." not in bare else f"https://{bare}")
    host = urlsplit(url).hostname or ""
    if not re.search(r"(?:^|\.)(?:github|ghe)\.com$", host):
        return normal_url(text)
    right = "https://api.github.com" if host.endswith("github.com") else _ghe_com(host)
    if bare.rstrip("/").lower().removesuffix(":443") != right:
        raise Mistake("this is not the address of the REST API", f'use "{right}"')
    return right


def _ghe_com(host: str) -> str:
    """Return the address of the REST API for any host of an enterprise with data residency.

    Source: https://docs.github.com/en/enterprise-cloud@latest/admin/data-residency/network-details-for-ghecom (checked 2026-11-27), and
    `HOSTS_GHE_COM` in `model/github_labels.py`.
    """
    own = [label for label in host.removesuffix("ghe.com").split(".") if label not in {"", "api", "www", "uploads"}]
    return f"https://api.{own[-1] if own else 'SUBDOMAIN'}.ghe.com"


def webhook_url(text: str) -> str:
    """Return an address as `normal_url` does. A query is refused with the name of the credential for it.

    Raises:
        Mistake: As `normal_url`.
    """
    return normal_url(text, for_query="put the part from the first / or ? after the host into the credential notify__webhook__secret_path")


def normal_proxy(text: str) -> str:
    """Return the address of an HTTP proxy, or `env` to use the environment's proxy variables.

    Plain http to a proxy is common and allowed; the connections through it are encrypted anyway.

    Raises:
        Mistake: Another scheme, a user name, a path, a refused or malformed host.
    """
    if text.strip() == "env":
        return "env"
    if "@" in text:
        raise Mistake("the address of a proxy must not contain a user name or a password", _KEEP_SECRETS_APART)
    parts = _split(text)
    if parts.scheme not in {"http", "https"}:
        raise Mistake("a proxy must be an http:// or https:// address", 'for example "http://proxy.example.com:3128", or "env"')
    if parts.path.strip("/"):
        raise Mistake("the address of a proxy must not have a path", 'for example "http://proxy.example.com:3128"')
    return _joined(parts, _host(parts))


def is_loopback(host: str) -> bool:
    """Say whether a hostname or address means this machine."""
    address = _address(host)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return host == "localhost" if address is None else (mapped or address).is_loopback


def _split(text: str, for_query: str = _KEEP_SECRETS_APART) -> SplitResult:
    text = text.strip()
    if _UNSAFE.search(text):
        raise Mistake("an address must not contain white space, control characters or a backslash")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Mistake("not a valid address", 'for example "https://ghes.example.com"') from None
    if "@" in parts.netloc:
        raise Mistake("an address must not contain a user name or a password", _KEEP_SECRETS_APART)
    if "?" in text or "#" in text:
        raise Mistake("an address must not have a query (?) or a fragment (#)", for_query)
    if not parts.netloc or not parts.hostname or port == 0:
        raise Mistake("not a complete address", 'for example "https://ghes.example.com"')
    return parts


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    if ":" not in host:
        return _normal_name(host)
    _refuse_reserved(host)
    return host


def _joined(parts: SplitResult, host: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{parts.port}" if parts.port else "")


def _normal_name(name: str) -> str:
    name = name.removesuffix(".")
    labels = name.split(".")
    if not name.isascii():
        raise Mistake("a hostname must be ASCII", 'write an international name in its "xn--" form')
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Mistake("not a valid hostname", 'use letters, digits and hyphens between dots, for example "ghes.example.com"')
    if _is_odd_address(name):
        raise Mistake("neither a hostname nor a complete IP address", 'for example "ghes.example.com" or "10.0.0.7"')
    _refuse_reserved(name)
    return name


def is_refused(host: str) -> bool:
    """Say whether a host is refused wherever an address is configured: a link-local or metadata address in any spelling."""
    host = host.lower().removesuffix(".")
    try:
        _refuse_reserved(host)
    except Mistake:
        return True
    return _is_odd_address(host)


def _is_odd_address(name: str) -> bool:
    """Say whether other programs read a name as an address: "2130706433", "0x7f.1"."""
    return re.fullmatch(r"[0-9]+|0x[0-9a-f]*", name.rpartition(".")[2]) is not None and _address(name) is None


def _refuse_reserved(host: str) -> None:
    address = _address(host)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    if host in _METADATA or any(_is_reserved(one) for one in (address, mapped, _inside(address)) if one is not None):
        raise _reserved()
    if any(one.is_link_local or one in _METADATA for one in _perhaps_inside(address)):
        raise _reserved()
    if mapped is not None:
        raise Mistake("an IPv4 address must not be written as an IPv6 one", 'for example "10.0.0.7"')


def _is_reserved(one: IPv4Address | IPv6Address) -> bool:
    return one.is_link_local or one.is_multicast or one.is_unspecified or one in _METADATA or one == _BROADCAST


def _reserved() -> Mistake:
    return Mistake("link-local, multicast and cloud metadata addresses are refused", "private ranges such as 10.0.0.0/8 are allowed")


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return IPv6Address(int(address)) if isinstance(address, IPv6Address) else address  # without its zone


def _inside(address: IPv4Address | IPv6Address | None) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to: by NAT64, SIIT, ISATAP, 6to4, Teredo, or the old compatible form."""
    if not isinstance(address, IPv6Address):
        return None
    is_isatap = int(address) >> 32 & 0xFDFFFFFF == 0x5EFE  # RFC 5214, 6.1; the masked bit says whether the address is global
    if address in _NAT64 or address in _TRANSLATED or is_isatap or (address in _COMPATIBLE and int(address) > 0xFFFF):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour or (address.teredo[1] if address.teredo is not None else None)


def _perhaps_inside(address: IPv4Address | IPv6Address | None) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses that a NAT64 gateway of a company may see in an IPv6 address; where they are depends on its prefix.

    Source: RFC 8215 (the range), RFC 6052, 2.2 (the positions: octet 8 is left out).
    """
    if not isinstance(address, IPv6Address) or address not in _LOCAL_NAT64:
        return ()
    octets = address.packed[:8] + address.packed[9:]
    return tuple(IPv4Address(part) for part in (address.packed[12:], *(octets[start : start + 4] for start in (6, 7, 8))))
