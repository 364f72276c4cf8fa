"""Properties of the search for an export: whatever surrounds it, it is found unchanged or not at all."""

import json

from hypothesis import assume, given
from hypothesis import strategies as st

from licsync_daemon.model.errors import RunError
from licsync_daemon.sources.export import INSIDE, read_export

values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=8)  # fmt: skip
users = st.text(max_size=12) | st.lists(values, max_size=3)
unknown = st.dictionaries(st.text(max_size=8).filter(lambda key: "users" not in key.casefold()), values, max_size=4)
junk = st.text(st.characters(exclude_characters="}", exclude_categories=["Cs"]) | st.sampled_from('{[":, \n\\'), max_size=60)


def export_of(users: object, rest: dict[str, object], *, ascii_only: bool, indent: int | None) -> bytes:
    return json.dumps(rest | {"users": users}, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")


@given(junk, users, unknown, st.booleans(), st.sampled_from([None, 1]), st.sampled_from(["", "\n", "\r\nbye\n"]))
def test_any_text_before_and_any_keys_inside(
    before: str, users: object, rest: dict[str, object], ascii_only: bool, indent: int | None, after: str
) -> None:
    """Text before it without a complete JSON object, and unknown keys inside it, change nothing."""
    assume(not INSIDE.search(before))  # it would look like the end of the beginning of another object
    content = export_of(users, rest, ascii_only=ascii_only, indent=indent)

    export, listed = read_export(before.encode() + content + after.encode(), "it", "again")

    assert export.content == content
    assert export.is_clear == isinstance(users, list)
    assert listed == (users if isinstance(users, list) else [])


@given(users, unknown, st.integers(min_value=1))
def test_a_part_of_an_export_is_none(users: object, rest: dict[str, object], cut: int) -> None:
    """However it is cut off, what is left is refused."""
    content = export_of(users, rest, ascii_only=True, indent=None)

    try:
        read_export(content[: -(cut % len(content)) or -1], "it", "again")
    except RunError:
        return
    raise AssertionError("taken for whole")


@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from([b'{"users":', b'"', b"{", b"}", b"[", b"]", b",", b":", b"1", b"\n", b"\xff", b"\\u"]), max_size=30).map(
        b"".join
    )
)
def test_junk_raises_nothing_but_our_own_error(data: bytes) -> None:
    """Bytes of any kind are an export or a `RunError`."""
    try:
        export, _ = read_export(data, "it", "again")
    except RunError:
        return
    assert export.content in data
    json.loads(export.content)
