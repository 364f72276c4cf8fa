"""Which destinations `NO_PROXY` excepts. Pure.

There is no standard. The forms that curl, Go, Ruby and requests understand between them are all read here: names with or without a leading
`.` or `*.`, addresses, ranges such as 10.0.0.0/8, fd00::/8 and 10.*, each with or without a port, and `*`; separated by commas or white
space. A name is never resolved, so a range excepts addresses only.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


def is_excepted(host: str, port: int, no_proxy: str) -> bool:
    """Return whether an entry of `no_proxy` excepts a host (a name, or an address without brackets) at a port."""
    name = host.casefold().rstrip(".")
    address = _address(name)
    return any(_excepts(entry, name, address, port) for entry in re.split(r"[\s,;]+", no_proxy.casefold()) if entry)


def _excepts(entry: str, name: str, address: IPv4Address | IPv6Address | None, port: int) -> bool:
    if entry == "*":
        return True
    of = re.fullmatch(r"\[([^\]]*)\](/[0-9]+)?(?::([0-9]{1,5}))?", entry) or re.fullmatch(r"([^:]*)()(?::([0-9]{1,5}))?", entry)
    # Without brackets, an address with several colons has no port.
    pattern, at = (of[1] + (of[2] or ""), of[3]) if of else (entry, None)
    if at and int(at) != port:
        return False
    if address is not None:
        return _contains(pattern, address) or (pattern.endswith(".*") and name.startswith(pattern[:-1]))
    suffix = pattern.removeprefix("*").strip(".")
    return suffix != "" and (name == suffix or name.endswith(f".{suffix}"))


def _contains(pattern: str, address: IPv4Address | IPv6Address) -> bool:
    try:
        network = ip_network(pattern, strict=False)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address in network or (mapped is not None and mapped in network)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return IPv6Address(int(address)) if isinstance(address, IPv6Address) else address  # without its zone
