"""The web server: drop a picture, type a text, see the verdict and the words and places that decided it.

python Predict.py --web        needs: python -m pip install -r requirements-web.txt

The server stores nothing: it deletes an upload as soon as it has read it, and sends pictures as data URLs. The state of
a visitor is in memory until the session ends. The page loads nothing from other machines.

judging/web_page.py has the layout and the events, judging/web_html.py the HTML, judging/web_uploads.py the uploads,
judging/web_guard.py the login, the limits and the checks of what visitors send.
"""

import ipaddress
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from judging.judge import Judge
from judging.suggest import parse_texts
from judging.web_guard import Events, Login, Policy, Uploads
from judging.web_uploads import MOST_BYTES, sweep, temporary_uploads

INSTALL = "python -m pip install -r requirements-web.txt"
CSS = Path(__file__).with_name("web.css")
ABANDONED = 600  # seconds until an upload that nobody reads is deleted


def serve(judge: Judge, host: str, port: int, auth: str | None = None) -> None:
    """Show the page until Ctrl-C. ModuleNotFoundError without Gradio, OSError if the port is taken.

    auth: "USER:PASSWORD" that visitors have to give; without it, a warning if other machines can reach the page.
    """
    port = free_port(host, port)
    if auth is None and not is_this_machine(host):
        print(
            f"warning: everyone who can reach {host}:{port} can use the page; add --auth USER:PASSWORD", file=sys.stderr
        )
    name = f"[{host}]" if ":" in host else host  # IPv6 in an address
    with temporary_uploads() as uploads:
        page = launch(judge, name, port, uploads, auth)
        # Importing spaCy takes a second; do it before the first visitor needs it.
        threading.Thread(target=parse_texts, args=(["A word."],), daemon=True).start()
        shown = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(name, name)
        print(f"{judge.name or 'the model'}: http://{shown}:{port} (press Ctrl-C to stop)", flush=True)
        try:
            while True:
                time.sleep(60)
                sweep(uploads, ABANDONED)
        finally:
            closing = threading.Thread(target=page.close, args=(False,), daemon=True)
            closing.start()
            closing.join(1)  # Gradio waits 5 seconds for the connections of open pages


def launch(judge: Judge, name: str, port: int, uploads: Path, auth: str | None = None) -> Any:
    """Start Gradio's server in a thread and return its Blocks. Call it inside `temporary_uploads`.

    Gradio is imported here and not before: its import reads the folder of the uploads from the environment.
    """
    need_gradio()
    import gradio as gr

    from judging.web_page import build, checks_of

    page = build(judge)
    page.queue(max_size=200, api_open=False, default_concurrency_limit=8)

    def waits(session: str) -> bool:
        return session in page._queue.pending_messages_per_session

    guards: list[tuple[Any, tuple, dict[str, Any]]] = [(Policy, (), {})]  # the first is the outermost
    guards += [(Login, (auth,), {})] if auth else []
    guards += [(Uploads, (uploads,), {}), (Events, (checks_of(page), set(page.blocks), waits), {})]
    page.launch(
        server_name=name,
        server_port=port,
        share=False,
        inbrowser=False,
        prevent_thread_lock=True,
        quiet=True,
        max_file_size=MOST_BYTES,
        state_session_capacity=500,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        theme=gr.themes.Default(
            primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
        ),
        css=CSS.read_text(encoding="utf-8"),
        app_kwargs={"middleware": guards, "docs_url": None, "redoc_url": None, "openapi_url": None},
    )
    return page


def need_gradio() -> None:
    """Import Gradio with its telemetry switched off. ModuleNotFoundError with the command to install it."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"the web page needs {error.name}; install it with: {INSTALL}") from None


def is_this_machine(host: str) -> bool:
    """Can only this machine reach the address?"""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)


def free_port(host: str, port: int) -> int:
    """The port itself, or a free one for 0. If it is taken, OSError or ValueError names the flag to change."""
    if not 0 <= port <= 65535:
        raise ValueError(f"--port {port}: must be 0 to 65535")
    try:
        (family, *_, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, socket.SOCK_STREAM) as server:
            if os.name == "posix":  # else the port stays taken for a minute after a run
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(address)
            return server.getsockname()[1]
    except socket.gaierror as error:
        raise OSError(f"--host {host}: {error.strerror}") from None
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port} ({error.strerror}); choose another with --port N") from None
