"""What stands before the page: a login, limits on uploads, and a check of every request that a visitor can forge.

Each class is ASGI middleware: it is called with the scope of a request and the functions that receive its body and send
the answer.
"""

import asyncio
import base64
import hmac
import json
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from common.checked import is_of
from judging.web_uploads import MOST_BYTES

# Content-Security-Policy: the browser loads nothing from other servers. Gradio needs inline scripts and Function().
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'self'"
)
MOST_STORED = 200_000_000  # bytes of uploads that nobody has read yet and of those on their way, of all visitors
MOST_OF_CLIENT = 100_000_000  # bytes that one address uploads in WINDOW
WINDOW = 60.0  # seconds
MOST_OF_EVENT = 100_000  # bytes; a text has at most 2,000 letters
FORM = 10_000  # bytes of an upload beside its file
WRONG_PASSWORD = 1.0  # seconds until the answer, so that passwords cannot be tried quickly
STARTUP = "/startup-events"  # Gradio asks itself for it without a password; it tells nothing

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[Any]]
App = Callable[[Any, Receive, Send], Awaitable[Any]]
Check = Callable[[Any], bool]


class Policy:
    """Adds POLICY to every response."""

    def __init__(self, app: App):
        self.app = app

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", POLICY.encode())
                message["headers"] = [*message.get("headers", ()), policy, (b"referrer-policy", b"no-referrer")]
            await send(message)

        await self.app(scope, receive, send_with_policy)


class Login:
    """Asks for a name and a password (HTTP Basic); auth: "USER:PASSWORD"."""

    def __init__(self, app: App, auth: str):
        self.app = app
        self.expected = b"Basic " + base64.b64encode(auth.encode())

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"].endswith(STARTUP):
            return await self.app(scope, receive, send)
        given = header(scope, b"authorization") or b""
        if hmac.compare_digest(given, self.expected):
            return await self.app(scope, receive, send)
        if given:
            await asyncio.sleep(WRONG_PASSWORD)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})  # "policy violation", RFC 6455
        ask = (b"www-authenticate", b'Basic realm="Image & Text Consistency", charset="UTF-8"')
        return await refuse(send, 401, "a name and a password are needed", ask)


class Uploads:
    """Limits uploads, by client and in all, and takes the server's folder out of the answer."""

    def __init__(self, app: App, folder: Path):
        self.app, self.folder = app, folder
        self.coming = 0  # bytes of the uploads that are being received
        self.recent: dict[str, deque[tuple[float, int]]] = {}  # client -> time and bytes of its uploads in WINDOW

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].rstrip("/").endswith("/upload"):
            return await self.app(scope, receive, send)
        declared = (header(scope, b"content-length") or b"").decode("latin-1")
        if not (declared.isascii() and declared.isdecimal()):
            return await refuse(send, 411, "the size of the upload is needed")
        size, client = int(declared), str((scope.get("client") or ("",))[0])
        if problem := self.problem(client, size, time.monotonic()):
            status, reason = problem
            await read_body(receive, 2 * MOST_BYTES)  # a browser reads no answer before it has sent the file
            return await refuse(send, status, reason)
        self.recent.setdefault(client, deque()).append((time.monotonic(), size))
        self.coming += size
        try:
            await self.app(scope, receive, Answer(send, self.folder))
        finally:
            self.coming -= size

    def problem(self, client: str, size: int, now: float) -> tuple[int, str] | None:
        """Status and reason if an upload of `size` bytes cannot be taken now."""
        if size > MOST_BYTES + FORM:
            return 413, f"the upload has more than {MOST_BYTES / 1e6:,.0f} MB"
        for name, uploads in list(self.recent.items()):
            while uploads and uploads[0][0] < now - WINDOW:
                uploads.popleft()
            if not uploads:
                del self.recent[name]
        if size + sum(each for _, each in self.recent.get(client, ())) > MOST_OF_CLIENT:
            return 429, f"more than {MOST_OF_CLIENT / 1e6:,.0f} MB in {WINDOW:.0f} seconds; wait, then try again"
        if size + self.coming + stored_bytes(self.folder) > MOST_STORED:
            return 503, "too many uploads are waiting; try again later"
        return None


class Answer:
    """Sends the answer to an upload: the paths of the files, without the folder."""

    def __init__(self, send: Send, folder: Path):
        self.send, self.folder = send, folder
        self.start: dict[str, Any] = {}
        self.body = b""

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            return
        self.body += message.get("body", b"")
        if message.get("more_body"):
            return
        body = self.body
        if self.start["status"] == 200:
            paths = [Path(path).relative_to(self.folder).as_posix() for path in json.loads(body)]
            body = json.dumps(paths).encode()
        size = (b"content-length", str(len(body)).encode())
        self.start["headers"] = [*(h for h in self.start["headers"] if h[0].lower() != b"content-length"), size]
        await self.send(self.start)
        await self.send({"type": "http.response.body", "body": body})


class Events:
    """Passes only the requests on that the script of the page sends, with values of the right kinds.

    Gradio would print a traceback for each forged one. checks: number of an event -> a check for each of its inputs.
    parts: the numbers of the parts of the page. waits: does this session wait for the result of an event?
    """

    def __init__(
        self, app: App, checks: Mapping[int, Sequence[Check]], parts: Container[Any], waits: Callable[[str], bool]
    ):
        self.app, self.checks, self.parts, self.waits = app, checks, parts, waits

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").rstrip("/")
        if scope["type"] != "http" or path.endswith("/gradio_api/upload"):
            return await self.app(scope, receive, send)
        if scope["method"] in ("GET", "HEAD"):
            query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
            if path.endswith("/queue/data") and not self.waits(query.get("session_hash", [""])[0]):
                return await refuse(send, 404, "this session waits for nothing")
            return await self.app(scope, receive, send)
        kind = next((end for end in ("/queue/join", "/cancel", "/reset") if path.endswith(f"/gradio_api{end}")), None)
        if kind is None or scope["method"] != "POST":
            return await refuse(send, 404, "there is no such page")
        body = await read_body(receive, MOST_OF_EVENT)
        if body is None:
            return await refuse(send, 413, f"a request has at most {MOST_OF_EVENT:,} bytes")
        if reason := self.why_forged(body, kind):
            return await refuse(send, 400, reason)
        return await self.app(scope, replay(body, receive), send)

    def why_forged(self, body: bytes, kind: str) -> str | None:
        """Why the page's script cannot have sent this; None if it can."""
        try:
            event = json.loads(body)
        except (ValueError, RecursionError):
            return "not JSON"
        names = ("session_hash", "event_id") if kind != "/queue/join" else ("session_hash",)
        if not isinstance(event, dict) or not all(is_text(event.get(name)) for name in names):
            return "not an event"
        if kind != "/queue/join":
            return None if event.get("fn_index") is None or type(event["fn_index"]) is int else "not an event"
        checks = self.checks.get(event["fn_index"]) if type(event.get("fn_index")) is int else None
        data, about, part = event.get("data"), event.get("event_data"), event.get("trigger_id")
        if checks is None or not (part is None or (type(part) is int and part in self.parts)):
            return "there is no such event"
        if event.get("batched") or event.get("simple_format"):
            return "not an event of this page"
        if not isinstance(data, list) or len(data) != len(checks):
            return "the event has another number of inputs"
        if not all(check(value) for check, value in zip(checks, data)):
            return "the inputs of the event have other kinds"
        if about is None or (isinstance(about, dict) and "path" not in about and all(map(is_plain, about.values()))):
            return None
        return "the event has values of other kinds"


def is_nothing(value: Any) -> bool:
    return value is None


def is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def is_number(value: Any, lowest: float = -math.inf, highest: float = math.inf) -> bool:
    """A finite number, no bool; JSON allows NaN here, and whole numbers that no float can hold."""
    return is_of(value, float) and lowest <= value <= highest


def is_plain(value: Any) -> bool:
    return is_text(value) or is_number(value)


def header(scope: Any, name: bytes) -> bytes | None:
    """The value of a header of a request."""
    return next((value for key, value in scope["headers"] if key.lower() == name), None)


async def refuse(send: Send, status: int, reason: str, *headers: tuple[bytes, bytes]) -> None:
    """Answer with one line of text."""
    content = (b"content-type", b"text/plain; charset=utf-8")
    await send({"type": "http.response.start", "status": status, "headers": [content, *headers]})
    await send({"type": "http.response.body", "body": reason.encode()})


async def read_body(receive: Receive, most: int) -> bytes | None:
    """The body of a request; None if it has more than `most` bytes or the visitor has left."""
    body = bytearray()
    while len(body) <= most:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body) if len(body) <= most else None
    return None


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was already read, then what else comes."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Any:
        return waiting.pop() if waiting else await receive()

    return again


def stored_bytes(folder: Path) -> int:
    """Bytes of all files in a folder; a file can vanish meanwhile."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except OSError:
            continue
    return total
