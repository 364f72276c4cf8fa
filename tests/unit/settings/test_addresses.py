"""Hostnames and URLs: the normal form, and what is refused without being repeated."""

import pytest

from licsync_daemon.settings.addresses import cloud_url, instance_url, normal_hostname, normal_proxy, normal_url, webhook_url
from licsync_daemon.settings.mistakes import Mistake

A_HOST_NAME_IS_NORMALIZED = [
    ("GHES.Example.COM", "ghes.example.com"),
    (" ghes.example.com ", "ghes.example.com"),
    ("ghes.example.com.", "ghes.example.com"),
    ("ghes.example.com:8443", "ghes.example.com:8443"),
    ("ghes", "ghes"),
    ("10.0.0.7", "10.0.0.7"),
    ("xn--bcher-kva.example", "xn--bcher-kva.example"),
]


def test_a_host_name_is_normalized(subtests: pytest.Subtests) -> None:
    """A hostname is lower-cased and stripped; a port stays."""
    for text, expected in A_HOST_NAME_IS_NORMALIZED:
        with subtests.test(text=text, expected=expected):
            assert expected == normal_hostname(text)


A_BAD_HOST_NAME_IS_REFUSED = [
    ("https://ghes.example.com", "a URL"),
    ("ghes.example.com/path", "path"),
    ("mona:hunter2@ghes.example.com", "user name or a password"),
    ("ghes_1.example.com", "not a valid hostname"),
    ("-ghes.example.com", "not a valid hostname"),
    ("ghes..example.com", "not a valid hostname"),
    ("", "not a valid hostname"),
    ("a" * 64 + ".example.com", "not a valid hostname"),
    (".".join(["a" * 60] * 5), "not a valid hostname"),
    ("bücher.example", "must be ASCII"),
    ("ghes.example.com:0", "port"),
    ("ghes.example.com:65536", "port"),
    ("ghes.example.com:https", "port"),
    ("2130706433", "complete IP address"),
    ("0x7f.1", "complete IP address"),
    ("10.0.0", "complete IP address"),
    ("169.254.169.254", "link-local"),
    ("metadata.google.internal", "metadata"),
]


def test_a_bad_host_name_is_refused(subtests: pytest.Subtests) -> None:
    """A bad hostname is refused with a reason and never repeated."""
    for text, part in A_BAD_HOST_NAME_IS_REFUSED:
        with subtests.test(text=text, part=part):
            with pytest.raises(Mistake) as refused:
                normal_hostname(text)
            assert part in refused.value.what
            assert "hunter2" not in refused.value.what + refused.value.hint


A_URL_IS_NORMALIZED = [
    ("https://Relay.Example.com/Uploads/", "https://relay.example.com/Uploads"),
    ("HTTPS://relay.example.com", "https://relay.example.com"),
    ("https://10.1.2.3:8443/x", "https://10.1.2.3:8443/x"),
    ("https://[fd12::1]:8443", "https://[fd12::1]:8443"),
    ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ("http://127.9.9.9", "http://127.9.9.9"),
    ("http://[::1]:8080/", "http://[::1]:8080"),
    ("http://localhost:8080/uploads", "http://localhost:8080/uploads"),
]


def test_a_url_is_normalized(subtests: pytest.Subtests) -> None:
    """A URL keeps its path's case and loses its trailing slash; plain http reaches this machine only."""
    for text, expected in A_URL_IS_NORMALIZED:
        with subtests.test(text=text, expected=expected):
            assert expected == normal_url(text)


A_BAD_URL_IS_REFUSED = [
    ("http://relay.example.com", "plain http"),
    ("http://10.0.0.1", "plain http"),
    ("http://localhost.example.com", "plain http"),
    ("http://127.0.0.1.example.com", "plain http"),
    ("ftp://relay.example.com", "https://"),
    ("file:///etc/passwd", "not a complete address"),
    ("relay.example.com/uploads", "not a complete address"),
    ("https://", "not a complete address"),
    ("https://mona:hunter2@relay.example.com", "user name or a password"),
    ("https://relay.example.com/?token=hunter2", "query"),
    ("https://relay.example.com/?", "query"),
    ("https://relay.example.com/#hunter2", "fragment"),
    ("https://relay.example.com\\@hunter2", "backslash"),
    ("https://relay.example.com/a b", "white space"),
    ("https://relay.example.com:99999", "not a valid address"),
    ("https://relay.example.com:0", "not a complete address"),
    ("https://[::1", "not a valid address"),
    ("https://169.254.169.254/latest", "link-local"),
    ("https://[fe80::1]/", "link-local"),
    ("https://[::ffff:169.254.169.254]/", "link-local"),
    ("https://[fd00:ec2::254]/", "metadata"),
    ("https://metadata.google.internal/", "metadata"),
    ("https://100.100.100.200/", "metadata"),
    ("https://0.0.0.0/", "link-local, multicast"),
    ("https://0xa9fea9fe/", "complete IP address"),
]


def test_a_bad_url_is_refused(subtests: pytest.Subtests) -> None:
    """A bad URL is refused with a reason and never repeated."""
    for text, part in A_BAD_URL_IS_REFUSED:
        with subtests.test(text=text, part=part):
            with pytest.raises(Mistake) as refused:
                normal_url(text)
            assert part in refused.value.what
            assert "hunter2" not in refused.value.what + refused.value.hint


A_PROXY_IS_NORMALIZED = [
    ("env", "env"),
    ("http://proxy.example.com:3128/", "http://proxy.example.com:3128"),
    ("https://10.0.0.9:3128", "https://10.0.0.9:3128"),
]


def test_a_proxy_is_normalized(subtests: pytest.Subtests) -> None:
    """A proxy can use plain http, and `env` means the environment's proxy."""
    for text, expected in A_PROXY_IS_NORMALIZED:
        with subtests.test(text=text, expected=expected):
            assert expected == normal_proxy(text)


A_BAD_PROXY_IS_REFUSED = [
    ("http://mona:hunter2@proxy.example.com:3128", "user name or a password"),
    ("socks5://proxy.example.com", "http:// or https://"),
    ("http://proxy.example.com/hunter2", "not have a path"),
    ("proxy.example.com:3128", "not a complete address"),
    ("http://169.254.169.254:80", "link-local"),
]


def test_a_bad_proxy_is_refused(subtests: pytest.Subtests) -> None:
    """A bad proxy is refused with a reason and never repeated."""
    for text, part in A_BAD_PROXY_IS_REFUSED:
        with subtests.test(text=text, part=part):
            with pytest.raises(Mistake) as refused:
                normal_proxy(text)
            assert part in refused.value.what
            assert "hunter2" not in refused.value.what + refused.value.hint


METADATA = [  # spellings of 169.254.169.254 and of other metadata services, and of link-local addresses
    *(
        "169.254.169.254",
        "169.254.169.254.",
        "169.254.0.23",
        "2852039166",
        "0xa9fea9fe",
        "0XA9FEA9FE",
        "025177524776",
        "0251.0376.0251.0376",
    ),
    *("0xa9.0xfe.0xa9.0xfe", "169.254.43518", "169.16689662", "169.254.169.0xfe", "169.254.169.0376", "100.100.100.200", "168.63.129.16"),
    *("metadata", "METADATA.google.internal", "metadata.google.internal.", "metadata.goog", "instance-data", "instance-data.ec2.internal"),
    *("[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[0:0:0:0:0:FFFF:A9FE:A9FE]", "[::169.254.169.254]", "[::a9fe:a9fe]"),
    *("[64:ff9b::169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[fd00:ec2::254]", "[fd00:0ec2:0:0:0:0:0:0254]"),
    *(
        "[FD00:EC2::254]",
        "[fd00:ec2::254%25eth0]",
        "[fd20:ce::254]",
        "[fe80::1]",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "[ff02::1]",
        "[::]",
    ),
    *("[64:ff9b:1::a9fe:a9fe]", "[64:ff9b:1:a9fe:a9:fe00::]", "[64:ff9b:1:ab:a9:fea9:fe00:0]", "[64:ff9b:1:ab00:a9:fea9:fe00:0]"),
    *("[::ffff:0:169.254.169.254]", "[2001:db8::5efe:169.254.169.254]", "[2001:db8::200:5efe:a9fe:a9fe]", "[fe80::5efe:a00:7]"),
    *("[fd00:42::42]", "metadata.packet.net", "metadata.platformequinix.com", "255.255.255.255"),
    *("[::ffff:10.0.0.7]", "0", "0.0.0.0", "0x0", "１６９.254.169.254", "169。254。169。254"),
]


@pytest.mark.parametrize("host", METADATA)
def test_a_metadata_service_is_refused_in_every_spelling(host: str) -> None:
    """Whatever a resolver or another program would read as its address, in every setting that takes one."""
    for check in (normal_url, webhook_url, normal_proxy):
        for port in ("", ":443"):
            with pytest.raises(Mistake):
                check(f"https://{host}{port}")
    with pytest.raises(Mistake):
        normal_hostname(host.strip("[]"))


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.7",
        "[fd12::1]",
        "[64:ff9b::a00:7]",
        "[64:ff9b:1::a00:7]",
        "[2001:db8::5efe:a00:7]",
        "[2001:db8::1]",
        "metadata.example.com",
        "[::1]",
    ],
)
def test_an_address_that_only_looks_like_it_is_accepted(host: str) -> None:
    """Private and translated addresses are common."""
    assert normal_url(f"https://{host}") == f"https://{host}"


@pytest.mark.parametrize(
    "text", ["http://svc:hu@sh@h:1", "http://svc:hu#sh@h:1", "http://svc:hu/sh@h:1", "http://svc:hu?sh@h:1", "http://hu@h", "svc:hu@h:1"]
)
def test_no_part_of_a_proxys_login_is_repeated(text: str) -> None:
    """Wherever a stray character splits the address."""
    with pytest.raises(Mistake) as refused:
        normal_proxy(text)
    assert not any(part in refused.value.what + refused.value.hint for part in ("hu", "svc", "sh@"))


@pytest.mark.parametrize("end", ["/api/v3", "/api/v3/", "/api", "/api/graphql", "/API/v3"])
def test_the_address_of_an_instances_api_is_refused_with_the_right_one(end: str) -> None:
    """Other programs ask for it; here /api/v3 would be added twice, and the 404 blamed on the token."""
    with pytest.raises(Mistake) as refused:
        instance_url(f"https://ghes.example.com:8443{end}")
    assert refused.value.hint == 'use "https://ghes.example.com:8443"'


def test_other_addresses_of_an_instance_are_kept() -> None:
    """A path that is not the API's is the operator's business."""
    for url in ("https://ghes.example.com", "https://gateway.example.com/ghes", "https://gateway.example.com/api/v3/ghes"):
        assert instance_url(url) == url


@pytest.mark.parametrize(
    ("given", "right"),
    [
        *[(one, "https://api.octo.ghe.com") for one in (
            "https://octo.ghe.com", "https://octo.ghe.com/api/v3", "https://api.octo.ghe.com/api/v3", "https://octo.api.ghe.com",
            "https://api.octo.ghe.com/graphql", "https://octo.ghe.com/enterprises/octo", "https://www.octo.ghe.com", "octo.ghe.com",
            "https://uploads.octo.ghe.com", "https://octo.ghe.com/api", "https://api.octo.ghe.com:8443", "https://OCTO.ghe.com/",
        )],
        *[(one, "https://api.SUBDOMAIN.ghe.com") for one in ("https://ghe.com", "https://api.ghe.com", "https://api.ghe.com/api/v3")],
        *[(one, "https://api.github.com") for one in (
            "https://github.com", "https://github.com/api/v3", "https://api.github.com/api/v3", "https://api.github.com/graphql",
            "https://www.github.com", "https://github.com/enterprises/octo", "api.github.com",
        )],
    ],
)  # fmt: skip
def test_wrong_addresses_of_the_cloud_are_refused_with_the_right_one(given: str, right: str) -> None:
    """github.com and GHE.com have one address each for their REST API."""
    with pytest.raises(Mistake) as refused:
        cloud_url(given)
    assert refused.value.hint == f'use "{right}"'


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://api.github.com/", "https://api.github.com"),
        ("https://API.octo.ghe.com", "https://api.octo.ghe.com"),
        ("https://api.octo.ghe.com:443/", "https://api.octo.ghe.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://gateway.example.com/github", "https://gateway.example.com/github"),
        ("https://notgithub.com/x", "https://notgithub.com/x"),
    ],
)
def test_right_addresses_of_the_cloud_are_used(given: str, used: str) -> None:
    """The REST API's, or a gateway of the company."""
    assert cloud_url(given) == used
