"""The control routes, `/_sandbox/`: change the sandbox from outside."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from licsync_daemon.practice.sandbox.clock import SandboxClock, iso
from licsync_daemon.practice.sandbox.cloud import ABSENT, Cloud, Processing
from licsync_daemon.practice.sandbox.cloud_app import CloudApp
from licsync_daemon.practice.sandbox.faults import Fault, Faults
from licsync_daemon.practice.sandbox.http import Reply, Request, json_reply, problem, same, token_of

PATH = "/_sandbox/"


class Controlled(Protocol):
    """What the control routes use of a sandbox."""

    cloud: Cloud
    clock: SandboxClock
    faults: Faults
    cloud_app: CloudApp

    def connect(self, instance: str, *, weekly: bool = False) -> None: ...
    def disconnect(self, instance: str) -> None: ...
    def push(self, instance: str) -> str: ...
    def sync_now(self, instance: str) -> str: ...
    def upload(self, instance: str) -> str: ...
    def person_upload(self, export: Mapping[str, Any]) -> str: ...
    def export(self, instance: str, *, clear: bool = False) -> dict[str, Any]: ...
    def list_server(self, instance: str) -> None: ...
    def set_sync_entry(self, instance: str, last_sync: object = ABSENT) -> None: ...
    def set_license(self, instance: str, *, days: int, seats: int) -> None: ...
    def state(self) -> dict[str, Any]: ...


class ControlApp:
    """Serves the control routes; a bad request gets a 422 with the reason."""

    def __init__(self, box: Controlled, token: str) -> None:
        self._box, self.token = box, token
        self._routes: dict[tuple[str, str], Callable[[dict[str, Any]], object]] = {
            ("GET", "state"): lambda _: box.state(),
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): lambda _: box.faults.clear(),
            ("POST", "clock"): self._move_clock,
            ("POST", "push"): lambda body: {"upload_id": box.push(body["instance"])},
            ("POST", "sync_now"): lambda body: {"upload_id": box.sync_now(body["instance"])},
            ("POST", "upload"): self._upload,
            ("GET", "export"): lambda body: box.export(body["instance"], clear=body.get("clear") == "true"),
            ("POST", "connect"): lambda body: box.connect(body["instance"], weekly=body.get("weekly") is True),
            ("POST", "disconnect"): lambda body: box.disconnect(body["instance"]),
            ("PUT", "token"): self._set_token,
            ("PUT", "headers"): self._set_headers,
            ("PUT", "license"): lambda body: box.set_license(body["instance"], days=int(body["days"]), seats=int(body["seats"])),
            ("POST", "list"): lambda body: box.list_server(body["instance"]),
            ("PUT", "processing"): self._set_processing,
            ("PUT", "sync_entry"): lambda body: box.set_sync_entry(body["instance"], body.get("last_sync", ABSENT)),
        }

    def __call__(self, request: Request) -> Reply:
        if not same(token_of(request), self.token):
            return problem(401, "The control token is missing or wrong.")
        route = self._routes.get((request.method, request.path.removeprefix(PATH)))
        if route is None:
            return problem(404, "No such control route.")
        try:
            body = request.query if request.method == "GET" else json.loads(request.body or b"{}")
            answer = route(body)
        except KeyError as error:
            return problem(422, f"{error.args[0]!r} is missing, or is not an instance.")
        except (ValueError, TypeError, AttributeError) as error:
            return problem(422, str(error))
        return json_reply({} if answer is None else answer)

    def _add_fault(self, body: dict[str, Any]) -> None:
        self._box.faults.add(Fault(**body))

    def _move_clock(self, body: dict[str, Any]) -> object:
        if "now" in body:
            self._box.clock.set(datetime.fromisoformat(body["now"]))
        else:
            self._box.clock.advance(float(body["advance"]))
        return {"now": iso(self._box.clock.now)}

    def _upload(self, body: dict[str, Any]) -> object:
        """Take an export, or the name of the instance to export."""
        is_export = isinstance(body["instance"], dict)
        return {"upload_id": self._box.person_upload(body) if is_export else self._box.upload(body["instance"])}

    def _set_token(self, body: dict[str, Any]) -> None:
        token = self._box.cloud_app.token
        scopes = body.get("scopes", token.scopes)
        if scopes is not None and not (isinstance(scopes, list | tuple) and all(isinstance(one, str) for one in scopes)):
            raise ValueError("scopes is neither a list of strings nor null")
        self._box.cloud_app.token = replace(
            token,
            scopes=None if scopes is None else tuple(scopes),
            owner=body.get("owner", True) is True,
            sso=body.get("sso", True) is True,
            expires_at=datetime.fromisoformat(body["expires_at"]) if "expires_at" in body else None,
        )

    def _set_headers(self, body: dict[str, Any]) -> None:
        if not all(isinstance(value, str) and value.isprintable() for value in body.values()):
            raise ValueError("a header value is not printable text")
        self._box.cloud_app.extra_headers = tuple(body.items())

    def _set_processing(self, body: dict[str, Any]) -> None:
        mode, delay = body.get("mode", "success"), float(body.get("delay", self._box.cloud.processing.delay_s))
        if mode not in {"success", "failure", "never"}:
            raise ValueError(f"unknown mode {mode!r}; known: success, failure, never")
        self._box.cloud.processing = Processing(mode=mode, delay_s=delay, status=body.get("status"), error=body.get("error"))
