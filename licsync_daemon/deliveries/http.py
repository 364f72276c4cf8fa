"""The delivery `http`: send the usage document to an endpoint that implements `docs/delivery-openapi.yaml`.

GitHub offers no such endpoint; it is the operator's own relay, the bundled sandbox, or a future official interface.
"""

import re
from urllib.parse import quote

from licsync_daemon.http.client import HttpClient
from licsync_daemon.http.retrier import Retrier
from licsync_daemon.model.errors import Code, RemoteError
from licsync_daemon.model.ports import UsageDocument
from licsync_daemon.model.secrets import WHOLE_WORD_BELOW, conceal
from licsync_daemon.model.text import clean
from licsync_daemon.model.usage import Upload, UploadState
from licsync_daemon.rules.success import read_upload
from licsync_daemon.rules.verdict import SENT_AGAIN, upload_failed

ACCEPTED = 202  # relays built with general tools return 200 or 201 as well
#: From the contract. No `/`, and no `.` alone: the id becomes the last part of a path.
UPLOAD_ID = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~:@=+-]{1,128}", re.ASCII)


def _repeats_secret(upload_id: str) -> bool:
    return conceal(upload_id, shortest=WHOLE_WORD_BELOW) != upload_id


class HttpUpload:
    """Sends to one endpoint (the `Delivery` port)."""

    def __init__(self, http: HttpClient, retry: Retrier) -> None:
        self._http = http
        self._retry = retry

    async def send(self, document: UsageDocument | None, key: str) -> str:
        assert document is not None, "a person exports only with the delivery `manual`"
        operation = f"the upload to {self._http.to.url}"
        headers = {
            "Content-Type": document.content_type,
            "Content-Encoding": "gzip",
            "Content-Length": str(document.size_bytes),
            "Idempotency-Key": key,
            "Licsync-Content-Hash": document.content_hash,
        }

        async def send() -> str:
            status, answer = await self._http.post(operation=operation, headers=headers, body=document.pieces)
            if (upload := read_upload(answer)).state is UploadState.FAILURE:
                raise RemoteError(Code.UPLOAD_FAILED, upload_failed(upload), SENT_AGAIN, status=status)
            upload_id = answer.get("upload_id") if isinstance(answer, dict) else None
            if not isinstance(upload_id, str) or not UPLOAD_ID.fullmatch(upload_id) or _repeats_secret(upload_id):
                raise RemoteError(
                    Code.BAD_RESPONSE,
                    f"{operation} returned {status} without a usable `upload_id`",
                    "report this to the endpoint's operator: docs/delivery-openapi.yaml requires 202 with an `upload_id`",
                    transient=status == ACCEPTED,  # a 200 or 201 without an ID may be the answer of something else
                    status=status,
                )
            return upload_id

        # Safe to repeat even if the response was lost: the endpoint ignores a known key with the same content hash.
        return await self._retry.call(send)

    async def ask(self, upload_id: str) -> Upload:
        operation = f"the state of upload {clean(upload_id, 60)}"

        async def ask() -> Upload:
            async with self._http.get(f"{self._http.to.url}/{quote(upload_id, safe='')}", operation=operation) as response:
                return read_upload(await response.json())

        try:
            return await self._retry.call(ask)
        except RemoteError as error:
            if error.status == 404:  # an endpoint without states: only the read-back decides
                return Upload(state=None)
            raise
