"""What a rehearsal may do to the sandbox from outside, beside its own routes: the `/_sandbox/` routes."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from licsync_daemon.sandbox.clock import SandboxClock, iso
from licsync_daemon.sandbox.cloud import ABSENT, Cloud, Processing
from licsync_daemon.sandbox.faults import Fault, Faults
from licsync_daemon.sandbox.http import Reply, Request, json_reply, problem, same, token_of

PATH = "/_sandbox/"


class Controlled(Protocol):
    """What the control routes steer: the methods of a sandbox."""

    cloud: Cloud
    clock: SandboxClock
    faults: Faults

    def push(self, instance: str) -> str: ...
    def upload(self, instance: str) -> str: ...
    def list_server(self, instance: str) -> None: ...
    def set_sync_entry(self, instance: str, last_sync: object = ABSENT) -> None: ...
    def state(self) -> dict[str, Any]: ...


class ControlApp:
    """Answers the control routes; every refusal is a 422 that says what was wrong."""

    def __init__(self, box: Controlled, token: str) -> None:
        self._box, self.token = box, token
        self._routes: dict[tuple[str, str], Callable[[dict[str, Any]], object]] = {
            ("GET", "state"): lambda _: box.state(),
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): lambda _: box.faults.clear(),
            ("POST", "clock"): self._move_clock,
            ("POST", "push"): lambda body: {"upload_id": box.push(body["instance"])},
            ("POST", "upload"): lambda body: {"upload_id": box.upload(body["instance"])},
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
            body = json.loads(request.body or b"{}")
            answer = route(body)
        except KeyError as error:
            return problem(422, f"{error.args[0]!r} is missing, or names no instance.")
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

    def _set_processing(self, body: dict[str, Any]) -> None:
        mode, delay = body.get("mode", "success"), float(body.get("delay", self._box.cloud.processing.delay_s))
        if mode not in {"success", "failure", "never"}:
            raise ValueError(f"unknown mode {mode!r}; known: success, failure, never")
        self._box.cloud.processing = Processing(mode=mode, delay_s=delay, status=body.get("status"), error=body.get("error"))
