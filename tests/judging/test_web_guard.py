"""What stands before the web page: the login, the limits on uploads, and the check of forged events."""

import asyncio
import base64
import json

import pytest

from judging import web_guard
from judging.web_guard import Events, Login, Policy, Uploads, is_nothing, is_number, is_text
from judging.web_uploads import MOST_BYTES

PLAIN = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": [], "client": ("10.0.0.1", 5)}


async def inner(scope, receive, send):
    """The page behind: it reads the body and answers with its size, or what `scope["answer"]` says."""
    size = 0
    while True:
        message = await receive()
        size += len(message["body"])
        if not message.get("more_body"):
            break
    body = scope.get("answer", str(size)).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", str(len(body)).encode())]}
    )
    await send({"type": "http.response.body", "body": body[:3], "more_body": True})
    await send({"type": "http.response.body", "body": body[3:]})


def ask(app, parts=(b"",), **scope):
    """(status, headers, body) of a request whose body comes in these parts."""
    waiting, sent = list(parts), []

    async def receive():
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message):
        sent.append(message)

    asyncio.run(app({**PLAIN, **scope}, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent[1:])


def sized(size, **scope):
    return {"headers": [(b"content-length", str(size).encode())], **scope}


# Login


def test_a_login_lets_nobody_in_without_the_password(monkeypatch):
    monkeypatch.setattr(web_guard, "WRONG_PASSWORD", 0.01)
    app = Login(inner, "ann:s\u00e9cret")
    for given in (None, b"", b"Basic", b"Basic " + base64.b64encode(b"ann:other"), b"Bearer x", b"\xff"):
        status, headers, _ = ask(app, headers=[] if given is None else [(b"authorization", given)], path="/config")
        assert status == 401 and headers[b"www-authenticate"].startswith(b"Basic realm=")
    right = b"Basic " + base64.b64encode("ann:s\u00e9cret".encode())
    assert ask(app, headers=[(b"Authorization", right)])[0] == 200


def test_a_socket_without_the_password_is_closed():
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(Login(inner, "a:b")({**PLAIN, "type": "websocket"}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_a_wrong_password_takes_a_second(monkeypatch):
    waited = []

    async def sleep(seconds):
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    ask(Login(inner, "a:b"), headers=[(b"authorization", b"Basic x")])
    assert waited == [1.0]


# Uploads


def test_the_answer_to_an_upload_tells_no_folder(tmp_path):
    app = Uploads(inner, tmp_path)
    paths = [str(tmp_path / "ab" / "c.png"), str(tmp_path / "d")]
    status, headers, body = ask(app, [b"x", b"yz"], **sized(3, answer=json.dumps(paths)))
    assert (status, json.loads(body)) == (200, ["ab/c.png", "d"])
    assert headers[b"content-length"] == str(len(body)).encode() and len(headers) == 1


@pytest.mark.parametrize("size", [None, "", "-1", "x", "\u00b2"])
def test_an_upload_says_its_size(tmp_path, size):
    headers = [] if size is None else [(b"content-length", size.encode("latin-1"))]
    assert ask(Uploads(inner, tmp_path), headers=headers)[0] == 411


def test_one_upload_has_a_limit(tmp_path):
    assert ask(Uploads(inner, tmp_path), **sized(MOST_BYTES + 20_000))[0] == 413


def test_one_address_has_a_limit_in_a_minute(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(web_guard.time, "monotonic", lambda: now[0])
    app, answer = Uploads(inner, tmp_path), {"answer": "[]"}
    for _ in range(5):
        assert ask(app, **sized(MOST_BYTES, **answer))[0] == 200
    status, _, body = ask(app, **sized(1, **answer))
    assert status == 429 and body == b"more than 100 MB in 60 seconds; wait, then try again"
    assert ask(app, **sized(1, client=("10.0.0.2", 5), **answer))[0] == 200
    now[0] = 61
    assert ask(app, **sized(MOST_BYTES, **answer))[0] == 200
    assert list(app.recent) == ["10.0.0.1"], "addresses are forgotten after a minute"


def test_all_uploads_together_have_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(web_guard, "MOST_STORED", 1000)
    app, answer = Uploads(inner, tmp_path), {"answer": "[]"}
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "unread").write_bytes(bytes(600))
    assert ask(app, **sized(400, **answer))[0] == 200
    assert ask(app, **sized(401, **answer))[0] == 503
    app.coming = 1
    assert ask(app, **sized(400, **answer))[0] == 503
    (tmp_path / "sub" / "unread").unlink()
    assert ask(app, **sized(401, **answer))[0] == 200
    assert app.coming == 1


# Events

CHECKS = {0: [is_nothing, is_text, lambda value: is_number(value, 0, 1)], 1: []}
GOOD = {"fn_index": 0, "data": [None, "a", 0.5], "session_hash": "s", "trigger_id": 7, "event_data": {"index": 1}}


def send(event, path="/gradio_api/queue/join", **scope):
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    app = Events(inner, CHECKS, {7}, {"open"}.__contains__)
    return ask(app, [body[:5], body[5:]], path=path, **scope), len(body)


@pytest.mark.parametrize("change", [{}, {"event_data": None}, {"trigger_id": None}, {"fn_index": 1, "data": []}])
def test_events_of_the_page_pass_whole(change):
    (status, _, body), size = send({**GOOD, **change})
    assert (status, int(body)) == (200, size)


@pytest.mark.parametrize(
    "change",
    [
        *({"fn_index": value} for value in (2, -1, None, "0", 0.0, True, [])),
        *({"data": value} for value in (None, "abc", {}, [], [None, "a"], [None, "a", 0.5, 1], [0, "a", 0.5])),
        *({"data": [None, value, 0.5]} for value in (5, [], {}, True)),
        *({"data": [None, "a", value]} for value in ("0.5", None, True, float("nan"), float("inf"))),
        *({"data": [None, "a", value]} for value in (-0.1, 1.1, 10**400)),
        {"data": [None, "a", [0.5]]},
        *({"event_data": value} for value in ([], "x", 5, True)),
        *({"event_data": value} for value in ({"a": []}, {"a": {}}, {"a": float("nan")}, {"path": "x"})),
        {"event_data": {"a": -(10**400)}},
        *({"session_hash": value} for value in (5, [], {})),
        *({"trigger_id": value} for value in (8, "7", [], 7.0)),
        {"batched": True},
        {"simple_format": True},
    ],
)  # fmt: skip
def test_forged_events_are_refused(change):
    (status, _, _), _ = send({**GOOD, **change})
    assert status == 400


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"null", b"[" * 50_000, b"\xff\xfe"])
def test_what_is_no_event_is_refused(body):
    for path in ("/gradio_api/queue/join", "/gradio_api/cancel", "/gradio_api/reset/"):
        assert send(body, path)[0][0] == 400


def test_long_events_and_other_addresses_are_refused():
    assert send(b" " * 100_001)[0][0] == 413
    assert [send(GOOD, path)[0][0] for path in ("/gradio_api/run/x", "/login", "/x/queue/join")] == [404] * 3
    assert send(GOOD, method="DELETE")[0][0] == 404
    assert send({"event_id": "e"}, "/gradio_api/reset")[0][0] == 200


def test_only_a_session_that_waits_gets_results():
    for query, status in ((b"session_hash=open", 200), (b"session_hash=other", 404), (b"", 404)):
        answer, _ = send(b"", "/gradio_api/queue/data", method="GET", query_string=query)
        assert answer[0] == status
    assert send(b"", "/config", method="GET")[0][0] == 200


def test_every_answer_has_the_policy():
    _, headers, _ = ask(Policy(inner), [b"x"])
    assert headers[b"content-security-policy"].startswith(b"default-src 'self'")
