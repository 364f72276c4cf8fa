"""Whether the receiver of a webhook took a message, by the body of its 2xx."""

import json

import pytest

from licsync_daemon.rules.receipt import Receipt, receipt

TAKEN = (
    *("", "ok", "OK\n", "1", "true", "null", '"ok"', "Accepted", "OK, 0 errors", "queued as 4711", "Workflow was started", "\ufeffok"),
    *("0 failed, 1 sent", "b1946ac9-2492-4d3a", "<Response></Response>", "<response><success>true</success></response>"),
    *('{"ok":true}', '{"ok":true,"result":{"message_id":7}}', "{}", "[]", '{"success":1}', '{"errcode":0,"errmsg":"ok"}'),
    *('{"code":0,"msg":"success","data":{}}', '{"status":"success","message":"Event processed"}', '{"status":1,"request":"a"}'),
    *(
        '{"status":"accepted","error":null,"errors":[]}',
        '{"status":200}',
        '{"statusCode":202,"body":""}',
        '{"error":""}',
        '{"error":false}',
    ),
    *('{"failed":0,"sent":1}', '{"text":"Success","code":0}', "<html><body>ok</body></html>", '{"error":"none"}'),
    *('{"message":"Workflow was started"}', '{"success":true,"message":"1 failed before"}', '{"code":0,"msg":"invalid before"}'),
    '{"message":"created incident [licsync] alert: emea: unauthorized"}',
    # a receiver that repeats the message, which is about a failure
    json.dumps({"version": 1, "event": "opened", "code": "timeout", "text": "returned 401: invalid", "next_step": "look for errors"}),
    json.dumps({"args": {}, "json": {"code": "unauthorized", "text": "failed"}, "url": "https://echo.example.com/post"}),
)
REFUSED = (
    *("no_service", "invalid_payload", "channel_not_found", "channel_is_archived", "action_prohibited", "invalid_token", "no_text"),
    *("Webhook message delivery failed with error: endpoint returned HTTP error 403", "Bad payload received by generic incoming webhook."),
    *("Summary or Text is required.", "not found", "false", '"failed"', "Error: 1", "Access denied", "The webhook is disabled"),
    *('{"ok":false,"description":"chat not found"}', '{"success":false}', '{"success":"false"}', '{"Success":0,"failure":1}', '[{}, 1, {"ok":false}]'),
    *('{"status":"error"}', '{"status":"fail","data":{}}', '{"status":"FAILED"}', '{"status":false}', '{"result":"error"}', '{"status":403}'),
    *('{"errcode":93000,"errmsg":"invalid webhook url"}', '{"code":19001,"msg":"param invalid"}', '{"code":-1}', '{"error_code":"7"}'),
    *('{"error":"channel_not_found"}', '{"errors":[{"message":"no"}]}', '{"error":{"code":7}}', '{"error":true}', '{"type":"error"}'),
    *('{"response":{"ok":false}}', '{"data":{"status":"error"}}', '{"results":[{"status":"failed"}]}', '{"statusCode":500,"body":"no"}'),
    *('{"message":"Invalid token"}', '{"detail":"Webhook disabled"}', '{"result":"not delivered"}', '{"title":"Forbidden"}'),
    *('{"fault":{"faultstring":"no"}}', "<response><status>error</status></response>", "<ns:Fault><faultstring>denied</faultstring></ns:Fault>", "<r><code>500</code></r>"),
)  # fmt: skip
LIMITED = (
    "Webhook message delivery failed with error: endpoint returned HTTP error 429 with ContextId tcid=0",
    '{"ok":false,"error":"rate_limited"}',
    "Too many requests",
)
PAGES = (
    "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in</body></html>",
    "\ufeff\n<!-- proxy -->\n<HTML><body>Access to this site is blocked</body></HTML>",
    '<?xml version="1.0"?><!doctype html PUBLIC "x"><html><body>Welcome</body></html>',
)


@pytest.mark.parametrize("body", TAKEN)
def test_an_answer_without_a_sign_of_failure_took_the_message(body: str) -> None:
    """`ok`, `1`, nothing, an ID, or the message itself: the message was taken."""
    assert receipt(body.encode()) is Receipt.TAKEN


@pytest.mark.parametrize("body", REFUSED)
def test_a_failure_in_the_body_of_a_2xx_is_a_refusal(body: str) -> None:
    """A flag, a status, an error, a number or plain words say that the message was not taken."""
    assert receipt(body.encode()) is Receipt.REFUSED


@pytest.mark.parametrize("body", LIMITED)
def test_a_rate_limit_in_the_body_is_one(body: str) -> None:
    """Some receivers answer 200 and name the 429 of what is behind them."""
    assert receipt(body.encode()) is Receipt.RATE_LIMITED


@pytest.mark.parametrize("body", PAGES)
def test_a_web_page_took_nothing(body: str) -> None:
    """A sign-in page, or the page of a web filter, is not the receiver's answer."""
    assert receipt(body.encode()) is Receipt.WEB_PAGE


@pytest.mark.parametrize("body", [b"\xff\xfe\x00\x80", b"{" * 16000, b"[" * 16000, b'{"ok":', b"<" * 16000, "früh".encode("latin-1")])
def test_any_bytes_can_be_read(body: bytes) -> None:
    """A body that is cut off, or not text, raises nothing."""
    assert isinstance(receipt(body), Receipt)
