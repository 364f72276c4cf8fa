"""The delivery endpoint, as `docs/delivery-openapi.yaml` describes it."""

import hashlib
import json
import re
import threading
import zlib
from collections.abc import Mapping

from licsync_daemon.practice.sandbox.cloud import Cloud
from licsync_daemon.practice.sandbox.document import Document, DocumentError, read_document
from licsync_daemon.practice.sandbox.export import read_export
from licsync_daemon.practice.sandbox.ghes import Instance
from licsync_daemon.practice.sandbox.http import Reply, Request, json_reply, problem, same, token_of

PATH = "/licsync/uploads"
USAGE, EXPORT = "application/json", "application/vnd.licsync.export+json"
_KEY = re.compile(r"[A-Za-z0-9-]{16,64}")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")


class DeliveryApp:
    """Accepts usage documents and exports, and reports their state; for an encrypted export, the cloud takes its instance's usage."""

    def __init__(self, cloud: Cloud, instances: Mapping[str, Instance], token: str, max_decoded_bytes: int) -> None:
        self.cloud, self.instances, self.token, self.max_decoded_bytes = cloud, instances, token, max_decoded_bytes
        self._lock = threading.Lock()
        self._accepted: dict[str, tuple[str, str]] = {}  # idempotency key -> content hash, upload id

    def __call__(self, request: Request) -> Reply:
        if not same(token_of(request), self.token):
            return problem(401, "The token is missing or wrong.", (("WWW-Authenticate", "Bearer"),))
        if request.path == PATH and request.method == "POST":
            return self._post(request)
        if request.path.startswith(f"{PATH}/") and request.method == "GET":
            upload = self.cloud.upload(request.path.removeprefix(f"{PATH}/"))
            return problem(404, "No such upload.") if upload is None else json_reply(upload.as_json())
        return problem(404, "No such route.")

    def _post(self, request: Request) -> Reply:
        key, claimed = request.headers.get("idempotency-key", ""), request.headers.get("licsync-content-hash", "")
        if not _KEY.fullmatch(key):
            return problem(422, "Idempotency-Key is missing, or is not 16 to 64 letters, digits and dashes.")
        if not _HASH.fullmatch(claimed):
            return problem(422, "Licsync-Content-Hash is missing, or is not sha256: and 64 hexadecimal digits.")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in {USAGE, EXPORT}:
            return problem(415, f"This endpoint accepts {USAGE} and {EXPORT}.")
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"gzip", "identity"}:
            return problem(415, "This endpoint accepts the content encodings gzip and identity.")
        content = self._decode(request.body, encoding)
        if isinstance(content, Reply):
            return content
        try:
            document = read_document(content) if kind == USAGE else self._read_export(content)
        except ValueError as error:
            return problem(422, f"{error}.")
        if document.content_hash != claimed:
            return problem(422, f"Licsync-Content-Hash does not match the document, whose hash is {document.content_hash}.")
        return self._accept(key, document)

    def _read_export(self, content: bytes) -> Document:
        try:
            export = json.loads(content.decode())
        except (ValueError, RecursionError) as error:
            raise DocumentError("the body is not JSON in UTF-8") from error
        if not isinstance(export, dict):
            raise DocumentError("the export is not a JSON object")
        instance, users = read_export(export, self.instances)
        return Document(instance.server_id, instance.hostname, users, f"sha256:{hashlib.sha256(content).hexdigest()}")

    def _decode(self, body: bytes | None, encoding: str) -> bytes | Reply:
        too_large = problem(413, f"The document is larger than {self.max_decoded_bytes} bytes.")
        if body is None:
            return too_large
        if encoding == "identity":
            return body if len(body) <= self.max_decoded_bytes else too_large
        unpacker = zlib.decompressobj(wbits=31)
        try:
            content = unpacker.decompress(body, self.max_decoded_bytes + 1)
        except zlib.error:
            return problem(422, "The body is not gzip.")
        if len(content) > self.max_decoded_bytes:
            return too_large
        return content if unpacker.eof and not unpacker.unused_data else problem(422, "The gzip body is truncated, or has trailing data.")

    def _accept(self, key: str, document: Document) -> Reply:
        with self._lock:  # two simultaneous requests with one key must become one upload
            known = self._accepted.get(key)
            if known is not None and known[0] != document.content_hash:
                return problem(409, "This Idempotency-Key was used with another content hash.")
            if known is None:
                upload = self.cloud.receive(document.server_id, document.host_name, document.users)
                known = self._accepted[key] = (document.content_hash, upload.upload_id)
        return json_reply({"upload_id": known[1], "sync_state": "PENDING"}, 202)
