"""Properties of decoded responses of the cloud."""

from hypothesis import given
from hypothesis import strategies as st

from licsync_daemon.cloud.decode import decode_consumed_page, decode_sync_status
from licsync_daemon.model.errors import Code, RemoteError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["server_instances", "users", "last_sync", "date", "status", "server_id", "enterprise_server_user_ids", "properties"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(json_values)
def test_any_json_is_read_or_refused_with_our_error(data: object) -> None:
    """No reply whatever raises anything but our own error."""
    for decode in (lambda: decode_sync_status(data, None), lambda: decode_consumed_page(data)):
        try:
            decode()
        except RemoteError as error:
            if error.code is not Code.BAD_RESPONSE:
                raise
