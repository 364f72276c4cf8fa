"""Success is a closed set."""

from typing import Any

import pytest

from licsync_daemon.model.usage import UploadState
from licsync_daemon.rules.success import error_in, read_upload
from licsync_daemon.rules.verdict import entry_of
from tests.fakes import T0, a_delivery, a_status, an_entry


@pytest.mark.parametrize(
    "word", ["success", " SUCCESS", "Success", "SUCCEEDED", "OK", "DONE", "QUEUED", "PROCESSING", "", 1, True, ["SUCCESS"], {}, None]
)
def test_anything_but_success_keeps_waiting_and_is_quoted(word: Any) -> None:
    upload = read_upload({"sync_state": word})

    assert upload.state is UploadState.PENDING
    assert upload.said


@pytest.mark.parametrize(
    "word", ["FAILURE", "FAILED", "failure", "Rejected", "ERROR", "PARTIAL_FAILURE", "TIMED_OUT", "CANCELLED", "invalid"]
)
def test_words_for_a_failure(word: str) -> None:
    assert read_upload({"sync_state": word}).state is UploadState.FAILURE


@pytest.mark.parametrize("error", ["no", {"message": "no"}, ["no"], True, 7, {"code": None}, "\x1b\x07"])
@pytest.mark.parametrize("field", ["error", "errors"])
def test_an_error_of_any_shape_is_a_failure(field: str, error: Any) -> None:
    """Whatever the state says."""
    upload = read_upload({"sync_state": "SUCCESS", field: error})

    assert upload.state is UploadState.FAILURE
    assert upload.error
    assert upload.error.isprintable()


@pytest.mark.parametrize("error", [None, "", " ", False, [], {}, 0])
def test_no_error(error: Any) -> None:
    assert (error_in(error), read_upload({"sync_state": "SUCCESS", "error": error}).state) == ("", UploadState.SUCCESS)


def test_of_two_entries_with_one_date_the_worse_counts() -> None:
    """In whatever order they are listed."""
    good, odd, bad = an_entry(date=T0), an_entry(date=T0, status="thinking"), an_entry(date=T0, status="failure")
    for listed, worst in (((good, bad, odd), bad), ((bad, good), bad), ((odd, good), odd), ((good, odd), odd)):
        assert entry_of(a_delivery().identity, a_status(*listed)) is worst
