"""The web page in a real browser and with many visitors, against `python Predict.py --web`."""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT
from PIL import Image

import Predict
from judging.examples import SCENES
from judging.judge import Judge
from judging.suggest import suggest
from judging.web import INSTALL, free_port, launch, need_gradio, serve
from judging.web_html import first_shown, per_cent
from judging.web_uploads import MOST_BYTES, read_upload, temporary_uploads
from sources import scenes

pytestmark = pytest.mark.system

SHIPPED = ROOT / "Models" / "scenes-small"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TEXT = "The large cat on a stage is purple."


def start(model: Path, folder: Path) -> tuple[subprocess.Popen, str]:
    """Start a server on a free port, with temporary files in `folder`; returns the process and the address."""
    pytest.importorskip("gradio", reason=f"the web page needs Gradio: {INSTALL}")
    process = subprocess.Popen(
        [sys.executable, ROOT / "Predict.py", "--web", "--port", "0", "--model", model, "--device", "cpu"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=(folder / "errors.txt").open("w"),
        text=True,
    )
    timer = threading.Timer(600, process.kill)
    timer.start()
    line = process.stdout.readline()
    timer.cancel()
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert found, f"the server printed {line!r} and {(folder / 'errors.txt').read_text()}"
    return process, found.group()


@pytest.fixture(scope="module")
def model(request):
    return (
        SHIPPED if (SHIPPED / "threshold.json").is_file() else request.getfixturevalue("trained") / "Models" / "small"
    )


@pytest.fixture(scope="module")
def judge(model):
    return Judge.load(model, "cpu")


class Server:
    def __init__(self, process: subprocess.Popen, address: str, folder: Path):
        self.process, self.address, self.folder = process, address, folder

    def uploads(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file() and path.name != "errors.txt"]

    def peak(self) -> int:
        """Most bytes of memory that the server has had; 0 without /proc."""
        status = Path(f"/proc/{self.process.pid}/status")
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
        return int(found.group(1)) * 1024 if found else 0


@pytest.fixture(scope="module")
def server(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    process, address = start(model, folder)
    yield Server(process, address, folder)
    # In the end: Ctrl-C, with an open page and an upload that no one came to read. Another server would take 10 s.
    client = Client(address)
    client.upload(b"never read")
    assert len(list(folder.glob("web-uploads-*/*/*"))) == 1
    with urllib.request.urlopen(f"{address}/gradio_api/heartbeat/{client.session}", timeout=60):
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (0, 130)
    assert list(folder.iterdir()) == [folder / "errors.txt"]
    errors = (folder / "errors.txt").read_text()
    assert "Traceback" not in errors, errors


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright")
    if CHROMIUM is None:
        pytest.skip("browser tests need Chromium")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(browser):
    """One context for all pages of this size: it keeps the scripts of Gradio, which a new one fetches and compiles."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    yield context
    context.close()


@pytest.fixture
def page(server, context):
    """A new page. After the test it is checked that all requests went to the server and that no script failed."""
    asked, errors = [], []
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server.address)
    page.wait_for_selector("#check")
    yield page
    page.close()
    assert asked and all(url.startswith((server.address, "data:", "blob:")) for url in asked), asked
    assert not errors


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "cat.png"
    scenes.draw(scenes.make_scene(900021), 256).save(path)
    return path


def choose(page, path: Path) -> None:
    page.set_input_files("#picture input[type=file]", path)


def check(page, picture: Path, text: str) -> None:
    choose(page, picture)
    page.wait_for_selector("#picture img")
    # The picture of an earlier choice is there at once; the new one also replaces the verdict.
    page.wait_for_function("document.querySelector('#verdict').innerText.includes('The verdict appears here')")
    page.fill("#text textarea", text)
    page.click("#check")
    page.wait_for_selector(".verdict")


def message(page) -> str:
    return page.locator("[role=alert].alert").inner_text()


# ---- in the browser


def test_the_page_shows_the_verdict_of_the_judge(page, server, judge, picture):
    verdict = judge.check(picture, TEXT)
    check(page, picture, TEXT)
    shown = page.locator(".verdict").inner_text()
    assert ("MISMATCH" in shown) != verdict.match
    assert f"{verdict.score:.3f}" in shown and f"threshold {verdict.threshold:.3f}" in shown
    assert per_cent(verdict.probability) in shown
    words = page.locator("button.word")
    labels = [words.nth(i).get_attribute("aria-label") for i in range(words.count())]
    assert labels == [
        f"{word.text}, score {word.score:.2f}{'' if word.known else ', not in the vocabulary'}"
        for word in verdict.words
    ]
    assert server.uploads() == []


def test_enter_checks_too(page, picture):
    choose(page, picture)
    page.wait_for_selector("#picture img")
    page.fill("#text textarea", TEXT)
    page.press("#text textarea", "Enter")
    page.wait_for_selector(".verdict")


def test_a_word_shows_its_own_place_first_the_one_that_fits_worst(page, judge, picture):
    verdict = judge.check(picture, TEXT)
    check(page, picture, TEXT)
    first = first_shown(verdict)
    assert page.locator("button.word[aria-pressed=true]").get_attribute("data-index") == str(first)
    before = page.locator("#heat img").get_attribute("src")
    other = next(i for i, word in enumerate(verdict.words) if word.box != verdict.words[first].box)
    page.locator("button.word").nth(other).click()
    page.wait_for_selector(f"button.word[data-index='{other}'][aria-pressed=true]")
    page.wait_for_function("before => document.querySelector('#heat img').src !== before", arg=before)
    assert page.locator("button.word[aria-pressed=true]").count() == 1
    left, top, *_ = verdict.words[other].box
    assert f"left:{100 * left:.2f}%;top:{100 * top:.2f}%" in page.locator(".frame").get_attribute("style").replace(
        " ", ""
    )
    assert verdict.words[other].text in page.locator("#heat img").get_attribute("alt")


def test_a_check_waits_for_the_picture_that_is_on_its_way(page, server, judge, picture, tmp_path):
    """Also if it is pressed before the upload ends; and the last picture that was chosen is the one that is judged."""
    check(page, picture, TEXT)
    paths = [tmp_path / "slow.png", tmp_path / "last.png"]
    for seed, path in enumerate(paths):
        scenes.draw(scenes.make_scene(900100 + seed), 256).save(path)
    held = []
    page.route("**/gradio_api/upload*", lambda route: held.append(route))
    for number, path in enumerate(paths, 1):
        choose(page, path)
        while len(held) < number:  # the upload has begun, and does not go on
            page.wait_for_timeout(20)
    page.click("#check")
    page.wait_for_timeout(200)
    for route in reversed(held):  # the first comes last
        route.continue_()
        page.wait_for_timeout(200)
    score = f"{judge.check(paths[1], TEXT).score:.3f}"
    page.wait_for_function("score => document.querySelector('.verdict')?.innerText.includes(score)", arg=score)
    assert "last.png" in page.locator("#picture img").get_attribute("alt")
    (never_read,) = server.uploads()  # slow.png; the server deletes it later
    never_read.unlink()


def test_a_correction_fills_the_text_box_and_is_judged(page, judge, picture):
    kinds, colours = ("cat", "dog", "ball", "tree"), ("purple", "red", "green", "blue")
    texts = [TEXT, *(f"A {colour} {kind} is on a beach." for colour in colours for kind in kinds)]
    text, found = next((text, found) for text in texts if (found := suggest(judge, picture, text)))
    check(page, picture, text)
    button = page.locator("#corrections button").first
    button.wait_for()
    best = found[0]
    assert f"{best.old} → {best.new} ({best.before:.2f}" in button.inner_text()
    assert f"→ {best.after:.2f}" in button.inner_text() and best.text in button.inner_text()
    button.click()
    page.wait_for_function("text => document.querySelector('#text textarea').value === text", arg=best.text)
    # ... and is judged.
    score = f"{best.after:.3f}"
    page.wait_for_function("score => document.querySelector('.verdict').innerText.includes(score)", arg=score)


def test_another_threshold_applies_at_once_and_can_be_reset(page, judge, picture):
    verdict = judge.check(picture, TEXT)
    check(page, picture, TEXT)
    name, other = ("MATCH", "mismatch") if verdict.match else ("MISMATCH", "match")
    flipped = round((verdict.score + (1 if verdict.match else -1)) / 2, 3)  # a threshold is between -1 and 1
    number = page.locator("#threshold input[type=number]")
    assert number.input_value() == f"{judge.threshold:.3f}".rstrip("0")
    number.fill(str(flipped))
    page.wait_for_selector(f".verdict.{other}")
    assert f"{verdict.threshold:.3f}: {name}" in page.locator(".verdict").inner_text()
    page.get_by_role("button", name="Reset").click()
    page.wait_for_selector(f".verdict.{name.lower()}")
    assert "tuned" not in page.locator(".verdict").inner_text()


def test_what_cannot_be_judged_gets_a_message_and_the_page_still_works(page, server, picture, tmp_path):
    page.click("#check")
    page.wait_for_selector(".alert")
    assert message(page) == "Choose a picture first."
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture" * 100)
    choose(page, broken)
    page.wait_for_function("document.querySelector('.alert')?.innerText.includes('broken.jpg')")
    assert "the file is not a picture in JPEG" in message(page) and "/" not in message(page)
    cut = tmp_path / "cut.png"
    cut.write_bytes(picture.read_bytes()[:2000])
    choose(page, cut)
    page.wait_for_function("document.querySelector('.alert')?.innerText.includes('cut.png')")
    heavy = tmp_path / "heavy.png"
    heavy.write_bytes(bytes(MOST_BYTES + 1))
    choose(page, heavy)
    page.wait_for_function("document.querySelector('.alert')?.innerText.includes('at most 20 MB')")
    choose(page, picture)
    page.wait_for_selector("#picture img")
    for text, expected in (("", "Type a text to check."), ("?!", "it has no words to check")):
        page.fill("#text textarea", text)
        page.click("#check")
        page.wait_for_function("text => document.querySelector('.alert')?.innerText.includes(text)", arg=expected)
    check(page, picture, TEXT)
    page.wait_for_selector("#corrections li, #corrections .note:not(:has-text('Looking'))")
    page.fill("#text textarea", "")
    page.click("#check")
    page.wait_for_selector(".alert")
    page.wait_for_timeout(500)  # no result of the last text appears below the message
    assert all(page.locator(part).inner_text().strip() == "" for part in ("#words", "#heat", "#corrections"))
    assert not page.locator("#threshold").is_visible()
    assert server.uploads() == []


def test_a_huge_picture_is_refused_from_its_header(page, server, tmp_path):
    bomb = tmp_path / "bomb.png"
    Image.new("1", (12000, 9000)).save(bomb)
    assert bomb.stat().st_size < 100_000
    before, began = server.peak(), time.monotonic()
    choose(page, bomb)
    page.wait_for_selector(".alert")
    assert "12000 x 9000 pixels: more than 100 megapixels" in message(page)
    assert time.monotonic() - began < 20
    assert server.peak() - before < 50e6  # decoded as RGB it would be 324 MB
    assert server.uploads() == []


def test_a_text_is_never_read_as_code(page, picture):
    check(page, picture, "A <img src=x onerror=alert(1)> ${document.title} {{value}} `red` ball & cat.")
    assert page.locator("#words img").count() == 0
    words = page.locator(".words").inner_text()
    assert "<" in words and "${" in words and "{{" in words and "&" in words


def test_examples_are_judged_with_one_press(page, judge):
    page.locator("#examples button").nth(1).click()
    page.wait_for_selector(".verdict")
    example = SCENES[1]
    verdict = judge.check(scenes.draw(scenes.make_scene(example.picture), 128), example.text)
    assert f"{verdict.score:.3f}" in page.locator(".verdict").inner_text()
    assert page.input_value("#text textarea") == example.text


def test_a_phone_has_room_for_everything(server, browser):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page = context.new_page()
    page.goto(server.address)
    page.locator("#examples button").first.click()
    page.wait_for_selector(".verdict")
    page.wait_for_selector("#heat img, #heat .note")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.fill("#text textarea", f"A {300 * 'x'} zebra (red) dog's {200 * '.'} ball{80 * ' word'}.")
    page.click("#check")
    page.wait_for_function("document.querySelector('#words').innerText.includes('were not read')")
    page.wait_for_selector("#corrections li, #corrections .note:not(:has-text('Looking'))")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("[...document.images].every(image => image.hasAttribute('alt'))")
    assert page.get_by_label("Text").count() >= 1 and page.get_by_label("Choose a picture").count() == 1
    context.close()


# ---- many at once, without a browser


class Client:
    """The requests that the script of the page sends for an upload and a check."""

    def __init__(self, address: str):
        self.address, self.session = address, uuid.uuid4().hex
        config = json.loads(self.get("/config"))
        ids = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
        self.calls = {tuple(call["targets"][0]): call["id"] for call in config["dependencies"]}
        self.ids = ids

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.address + path, timeout=60) as answer:
            return answer.read().decode()

    def post(self, path: str, data: bytes, kind: str) -> object:
        request = urllib.request.Request(self.address + path, data, {"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def upload(self, data: bytes) -> str:
        head = '--edge\r\nContent-Disposition: form-data; name="files"; filename="' + uuid.uuid4().hex + '"\r\n\r\n'
        body = head.encode() + data + b"\r\n--edge--\r\n"
        return self.post("/gradio_api/upload", body, "multipart/form-data; boundary=edge")[0]

    def call(self, name: str, event: str, data: list, event_data: object = None) -> list:
        number = self.ids[name]
        body = {"data": data, "event_data": event_data, "fn_index": self.calls[number, event]}
        body |= {"session_hash": self.session, "trigger_id": number}
        self.post("/gradio_api/queue/join", json.dumps(body).encode(), "application/json")
        for line in self.get(f"/gradio_api/queue/data?session_hash={self.session}").splitlines():
            if line.startswith("data:") and (answer := json.loads(line[5:]))["msg"] == "process_completed":
                assert answer["success"], answer
                return answer["output"]["data"]
        raise AssertionError("no answer")

    def check(self, data: bytes, text: str, threshold: float) -> str:
        self.call("picture", "upload", [None], {"upload": self.upload(data), "name": "cat.png"})
        return self.call("check", "click", [None, text, threshold])[1]


def test_twenty_visitors_at_once_each_get_their_own_answer(server, judge, picture):
    colours = tuple(scenes.COLOURS)
    texts = [f"A {size} cat is {colour}." for size in ("small", "large") for colour in colours]
    together = threading.Barrier(len(texts))

    def visit(text: str) -> str:
        client = Client(server.address)
        together.wait(60)
        return client.check(picture.read_bytes(), text, round(judge.threshold, 3))

    with ThreadPoolExecutor(len(texts)) as pool:
        shown = list(pool.map(visit, texts))
    for text, verdict in zip(texts, (judge.check(picture, text) for text in texts)):
        answer = shown[texts.index(text)]
        assert f"{verdict.score:.3f}" in answer and ("MISMATCH" in answer) != verdict.match
    assert len(texts) == 20 and server.uploads() == []


def test_only_uploaded_files_are_read_and_only_up_to_a_size(server, picture):
    client = Client(server.address)
    kept = picture.with_name("kept.png")
    shutil.copy(picture, kept)
    for path in (str(kept), os.path.relpath(kept, server.folder / "web-uploads"), "", ".", "a\0b"):
        shown = client.call("picture", "upload", [None], {"upload": path, "name": "kept.png"})
        assert re.search("kept.png: (it was not uploaded|the upload is gone)", shown[2])
    with pytest.raises(ValueError, match="it was not uploaded"):
        read_upload(str(server.folder / ".." / kept), server.folder)
    assert kept.exists()
    path = client.upload(picture.read_bytes())
    assert not Path(path).is_absolute() and str(server.folder) not in path, "the answer has no path of the server"
    client.call("picture", "upload", [None], {"upload": path, "name": "kept.png"})
    with pytest.raises(urllib.error.HTTPError, match="413"):
        client.upload(bytes(MOST_BYTES + 1))
    assert server.uploads() == []


def test_forged_requests_are_refused(server, picture):
    """The fixture checks that none of them gave a traceback."""
    client = Client(server.address)
    threshold = 0.2
    for part, event, data in (("words", "select", [None, threshold]), ("corrections", "select", [])):
        for about in ([], "x", {"index": [0]}, {"path": "/etc/passwd"}):
            with pytest.raises(urllib.error.HTTPError, match="400"):
                client.call(part, event, data, about)
        for about in (None, {}, {"index": "a", "text": 5}, {"index": 1e300}):
            client.call(part, event, data, about)
    for data in ([None, ["a"], threshold], [None, "a", "b"], [None, "a", 99], [None, "a"], [{}, "a", threshold], "x"):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            client.call("check", "click", data)
    for path in ("run/predict", "call/x", "component_server", "vibe-edit", "queue/data"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            client.post(f"/gradio_api/{path}", b"{}", "application/json")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        client.get("/gradio_api/queue/data?session_hash=unknown")


def test_half_of_a_character_gets_a_message(server, judge, picture):
    client = Client(server.address)
    answer = client.check(picture.read_bytes(), "A \ud83d ball.", round(judge.threshold, 3))
    assert "it has half of a character (U+D83D) at position 2" in answer
    path = client.upload(picture.read_bytes())
    shown = client.call("picture", "upload", [None], {"upload": path, "name": "\ud83d.png"})
    assert "The chosen picture: ?.png" in shown[0]


def test_a_login_is_asked_for(judge):
    pytest.importorskip("gradio")
    port = free_port("127.0.0.1", 0)
    address = f"http://127.0.0.1:{port}"
    with temporary_uploads() as uploads:
        page = launch(judge, "127.0.0.1", port, uploads, "ann:s\u00e9cret")
        try:
            for path in ("", "/config", "/gradio_api/info", "/gradio_api/file=x"):
                with pytest.raises(urllib.error.HTTPError, match="401"):
                    urllib.request.urlopen(address + path, timeout=60)
            key = base64.b64encode("ann:s\u00e9cret".encode()).decode()
            request = urllib.request.Request(address, headers={"Authorization": f"Basic {key}"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert answer.status == 200 and "default-src 'self'" in answer.headers["Content-Security-Policy"]
        finally:
            page.close(False)


@pytest.mark.parametrize(
    ("host", "auth", "warned"), [("0.0.0.0", None, 1), ("0.0.0.0", "a:b", 0), ("127.0.0.1", None, 0)]
)
def test_a_page_for_the_network_without_a_login_is_warned_of(judge, monkeypatch, capsys, host, auth, warned):
    monkeypatch.setattr("judging.web.launch", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        serve(judge, host, 0, auth)
    error = capsys.readouterr().err
    assert error.count("warning: everyone who can reach") == error.count("--auth USER:PASSWORD") == warned


def test_a_port_in_use_gets_one_line(server, model, capsys):
    port = server.address.rpartition(":")[2]
    with pytest.raises(SystemExit) as ended:
        Predict.main(["--web", "--port", port, "--model", str(model), "--device", "cpu"])
    error = capsys.readouterr().err
    assert ended.value.code == 2 and len(error.splitlines()) == 1 and "--port" in error and port in error


def test_gradio_that_is_absent_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ModuleNotFoundError, match=r"requirements-web\.txt"):
        need_gradio()
