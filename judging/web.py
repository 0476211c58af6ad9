"""The judge as a web page: drop a picture, type a text, see the verdict, the words and places that decided it.

python Predict.py --web        needs: python -m pip install -r requirements-web.txt

Nothing is kept: an upload is deleted as soon as it is read, and the page sends pictures inside its own text. What a
visitor has chosen lies in memory, reduced, until the session ends. The page asks no other machine for anything.
"""

import contextlib
import html
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from common.pictures import data_url, open_picture
from judging import heat as heat_lib
from judging import suggest
from judging.judge import SHORT_SIDE, InputError, Judge, Verdict, WordScore, content_words, why_unreadable
from judging.suggest import Suggestion
from sources.scenes import draw, make_scene

INSTALL = "python -m pip install -r requirements-web.txt"
MOST_BYTES = 20_000_000  # of an upload; phones make pictures of under 10 MB
MOST_LETTERS = 2000  # of a text; the model reads at most 64 words
IDLE = 1800  # seconds until the choice of a visitor is forgotten
ABANDONED = 600  # seconds until an upload is deleted that no one came to read
JUDGES = 2  # texts judged at the same time; more do not go faster on two cores
SCENE_SIDE = 128  # pixels of the drawings that a model of scenes was trained on
SHOWN_SIDE = 384  # pixels of a drawing for the eye

# The browser itself refuses what is not of this server. Gradio's page needs its inline scripts and Function().
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'self'"
)
# Okabe & Ito 2008, safe for colour blindness; tints under dark text have a contrast of at least 9.
MISFIT, NEUTRAL, FIT = (244, 170, 120), (240, 240, 236), (120, 214, 180)


class Example(NamedTuple):
    """A drawn scene and a text about it."""

    seed: int
    text: str
    true: bool


EXAMPLES = (
    Example(900021, "The large cat on a stage is purple.", False),
    Example(900012, "One striped white kite is to the upper left of a plain blue balloon on a beach.", True),
    Example(900017, "On a mountain, a big orange bird is to the right of a big plain white tree.", False),
    Example(900006, "Three tiny purple flowers on a stage.", True),
    Example(900014, "You can see a dotted purple shirt and a plain purple star on a beach.", False),
    Example(900005, "A small plain white lamp and a medium orange tree on a beach.", True),
)


@dataclass(frozen=True, eq=False)
class Seen:
    """What one visitor has chosen and been told."""

    picture: Image.Image  # as the model reads it
    shown: Image.Image  # for the eye
    text: str = ""
    verdict: Verdict | None = None
    chosen: int = 0  # the word whose place is shown


def serve(judge: Judge, host: str, port: int) -> None:
    """Show the page until Ctrl-C. ModuleNotFoundError without Gradio, OSError if the port is taken."""
    port = free_port(host, port)
    name = f"[{host}]" if ":" in host else host  # IPv6 in an address
    with temporary_uploads() as uploads:
        need_gradio()  # not before, as it makes a folder for uploads where it is told to when it is imported
        import gradio as gr

        page = build(judge)
        page.queue(max_size=200, api_open=False, default_concurrency_limit=8)
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
            css=CSS,
            app_kwargs={"middleware": [(Policy, (), {})], "docs_url": None, "redoc_url": None, "openapi_url": None},
        )
        # spaCy's import takes a second, which the first visitor need not wait for.
        threading.Thread(target=suggest.parse_texts, args=(["A word."],), daemon=True).start()
        shown = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(name, name)
        print(f"{judge.name or 'the model'}: http://{shown}:{port} (Ctrl-C ends it)", flush=True)
        try:
            while True:
                time.sleep(60)
                sweep(uploads, ABANDONED)
        finally:
            closing = threading.Thread(target=page.close, args=(False,), daemon=True)
            closing.start()
            closing.join(1)  # open pages hold a connection, for which Gradio would wait 5 seconds


def need_gradio() -> None:
    """Import Gradio, told to count no visits. It takes 3 seconds, so only the web page does it."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"the web page needs {error.name}; install it with: {INSTALL}") from None


def free_port(host: str, port: int) -> int:
    """The port, or any free one for 0. OSError or ValueError tells which flag mends it."""
    if not 0 <= port <= 65535:
        raise ValueError(f"--port {port}: must be 0 to 65535")
    try:
        (family, *_, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, socket.SOCK_STREAM) as server:
            if os.name == "posix":  # else the port stays taken for a minute after the last run
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(address)
            return server.getsockname()[1]
    except socket.gaierror as error:
        raise OSError(f"--host {host}: {error.strerror}") from None
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port} ({error.strerror}); choose another with --port N") from None


@contextlib.contextmanager
def temporary_uploads() -> Iterator[Path]:
    """A folder for uploads that is gone in the end, also after SIGTERM."""
    old = {}
    if threading.current_thread() is threading.main_thread():
        old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    folder = Path(tempfile.mkdtemp(prefix="web-uploads-")).resolve()
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"  # Gradio asks its own address whether it is up
    try:
        yield folder
    finally:
        for number in old:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C would leave the folder
        shutil.rmtree(folder, ignore_errors=True)
        for number, handler in old.items():
            signal.signal(number, handler)


def sweep(folder: Path, age: float) -> None:
    """Delete the files that are older than `age` seconds."""
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if file.is_file() and time.time() - file.stat().st_mtime > age:
                file.unlink()


class Policy:
    """ASGI middleware: POLICY on every answer."""

    def __init__(self, app: Callable[..., Any]):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Callable[[Any], Any]) -> None:
        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", POLICY.encode())
                message["headers"] = [*message.get("headers", ()), policy, (b"referrer-policy", b"no-referrer")]
            await send(message)

        await self.app(scope, receive, send_with_policy)


# What happens


def build(judge: Judge) -> Any:
    """The page as Gradio blocks. ModuleNotFoundError without Gradio."""
    need_gradio()
    import gradio as gr

    tuned = round(judge.threshold.threshold, 3)

    def fail(seen: Seen | None, message: str) -> tuple[Any, ...]:
        """The message in place of a verdict; the picture stays."""
        return seen and replace(seen, verdict=None), told(message), "", "", ""

    def take(seen: Seen | None, event: gr.EventData) -> tuple[Any, ...]:
        """An upload becomes the visitor's picture."""
        name = str(event._data.get("name", "picture"))[:80]
        try:
            picture = read_upload(str(event._data.get("path", "")), Path(gr.utils.get_upload_folder()))
        except (ValueError, OSError) as error:
            return gr.skip(), *fail(seen, f"{name}: {error}")
        return picture_html(picture, name), Seen(picture, picture), WAITING, "", "", ""

    def refuse(seen: Seen | None, event: gr.EventData) -> tuple[Any, ...]:
        """What the browser did not send."""
        name, size = str(event._data.get("name", ""))[:80], event._data.get("bytes")
        if isinstance(size, int):
            return fail(
                seen, f"{name}: the file has {size / 1e6:,.1f} MB; at most {MOST_BYTES / 1e6:,.0f} MB are taken"
            )
        return fail(seen, f"{name}: the upload failed; please try again")

    def check(seen: Seen | None, text: str, threshold: float) -> tuple[Any, ...]:
        text = (text or "").strip()
        if seen is None:
            return fail(seen, "Choose a picture first.")
        if not text:
            return fail(seen, "Type a text to check.")
        if len(text) > MOST_LETTERS:
            return fail(seen, f"The text has {len(text):,} letters; at most {MOST_LETTERS:,} are taken.")
        try:
            verdict = judge.check(seen.picture, text)
        except InputError as error:
            return fail(seen, f"This {error.kind} cannot be judged: {error.reason}.")
        seen = replace(seen, text=text, verdict=verdict, chosen=first_shown(verdict))
        return seen, *show(seen, threshold), heat_html(seen), LOOKING

    def correct(seen: Seen | None) -> Any:
        """Corrections of the text that was judged; they come after the verdict, as they may wait for spaCy."""
        if seen is None or seen.verdict is None:
            return gr.skip()
        try:
            found = suggest.suggest(judge, seen.picture, seen.text)
        except (ModuleNotFoundError, OSError):
            return '<p class="note">Corrections need spaCy and its pipeline, see the README.</p>'
        return corrections_html(found)

    def choose(seen: Seen | None, threshold: float, event: gr.EventData) -> tuple[Any, ...]:
        """The place of another word."""
        number = event._data.get("index")
        if seen is None or seen.verdict is None or number not in range(len(seen.verdict.words)):
            return gr.skip(), gr.skip(), gr.skip()
        seen = replace(seen, chosen=int(number))
        return seen, words_html(seen, in_force(judge, threshold)), heat_html(seen)

    def show(seen: Seen | None, threshold: float) -> tuple[Any, ...]:
        """What another threshold would say; nothing is encoded anew."""
        if seen is None or seen.verdict is None:
            return gr.skip(), gr.skip()
        at = in_force(judge, threshold)
        return verdict_html(seen.verdict, at, lowest), words_html(seen, at)

    def exemplify(threshold: float, event: gr.EventData) -> tuple[Any, ...]:
        example = EXAMPLES[int(event._data.get("index", 0)) % len(EXAMPLES)]
        seen = Seen(*drawings(example.seed))
        picture = picture_html(seen.shown, f"drawing {example.seed}")
        return picture, example.text, *check(seen, example.text, threshold)

    def take_over(event: gr.EventData) -> str:
        """A correction goes into the text box."""
        return str(event._data.get("text", ""))[:MOST_LETTERS]

    lowest = 0.0 if tuned > 0.1 else -1.0  # a tuned threshold near 0 leaves scores below it that matter
    light: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    heavy: dict[str, Any] = {**light, "concurrency_id": "judge", "concurrency_limit": JUDGES}

    plain: dict[str, Any] = {"apply_default_css": False, "elem_classes": "plain"}

    with gr.Blocks(title="Image & Text Consistency", analytics_enabled=False) as page:
        state = gr.State(time_to_live=IDLE)
        gr.HTML(head_html(judge), js_on_load=None, **plain)
        with gr.Row(equal_height=False):
            with gr.Column(min_width=320, elem_id="inputs"):
                picture = gr.HTML(NO_PICTURE, js_on_load=UPLOAD, elem_id="picture", **plain)
                text = gr.Textbox(
                    label="Text",
                    placeholder="A red ball is on the left of a blue box.",
                    max_lines=5,
                    max_length=MOST_LETTERS,
                    elem_id="text",
                )
                button = gr.Button("Check", variant="primary", elem_id="check")
            with gr.Column(min_width=320):
                verdict = gr.HTML(WAITING, js_on_load=None, elem_id="verdict", **plain)
                with gr.Row(elem_id="threshold", equal_height=True):
                    slider = gr.Slider(
                        lowest, 1.0, tuned, step=0.001, label="Another threshold", buttons=[], scale=4, min_width=250
                    )
                    reset = gr.Button(f"Reset to {tuned:.3f}", size="sm", scale=1, min_width=120)
                words = gr.HTML("", js_on_load=CHOOSE, elem_id="words", **plain)
                heat = gr.HTML("", js_on_load=None, elem_id="heat", **plain)
                corrections = gr.HTML("", js_on_load=CHOOSE, elem_id="corrections", **plain)
        examples = gr.HTML(examples_html(judge), js_on_load=CHOOSE, elem_id="examples", **plain)

        results = [state, verdict, words, heat, corrections]
        # One picture is decoded at a time: the largest that are taken need up to 2 GB for a moment.
        picture.upload(take, state, [picture, *results], **light, concurrency_limit=1)
        picture.refuse(refuse, state, results, **light)
        for event in (button.click, text.submit):
            checked = event(check, [state, text, slider], results, **heavy)
            checked.then(correct, state, corrections, **heavy)
        shown = examples.select(exemplify, slider, [picture, text, *results], **heavy)
        shown.then(correct, state, corrections, **heavy)
        words.select(choose, [state, slider], [state, words, heat], **light)
        taken = corrections.select(take_over, None, text, **light)
        taken.then(check, [state, text, slider], results, **heavy).then(correct, state, corrections, **heavy)
        slider.input(show, [state, slider], [verdict, words], **light, trigger_mode="always_last")
        reset.click(lambda: tuned, None, slider, **light).then(show, [state, slider], [verdict, words], **light)
    return page


def read_upload(path: str, folder: Path) -> Image.Image:
    """An upload, reduced; its file is deleted. ValueError or OSError tells, without its path, why it is no picture."""
    file = Path(path).resolve()
    if not file.is_relative_to(folder.resolve()):  # the browser names the file, so it could name any
        raise ValueError("it was not uploaded")
    try:
        return open_picture(file, SHORT_SIDE)
    except OSError as error:
        raise OSError(
            "the upload is gone; please choose it again" if not file.exists() else str(error.strerror)
        ) from None
    except ValueError as error:
        raise ValueError(why_unreadable(error, str(file))) from None
    finally:
        with contextlib.suppress(OSError):
            file.unlink()


def in_force(judge: Judge, slider: float | None) -> float:
    """The threshold that the slider means: at its start the tuned one, of which it shows three digits."""
    tuned = judge.threshold.threshold
    return tuned if slider is None or abs(slider - tuned) <= 5.01e-4 else float(slider)


def first_shown(verdict: Verdict) -> int:
    """The word that fits worst, among those that name something and that the model knows."""
    words = verdict.words
    return min(content_words([word.text for word in words]), key=lambda i: (not words[i].known, words[i].score))


@cache
def drawings(seed: int) -> tuple[Image.Image, Image.Image]:
    """The scene as a model of scenes was trained on it, and a larger one for the eye."""
    scene = make_scene(seed)
    return draw(scene, SCENE_SIDE), draw(scene, SHOWN_SIDE)


# What it looks like


def told(message: str) -> str:
    return f'<div class="told" role="alert">{html.escape(message)}</div>'


def image_tag(picture: Image.Image, alt: str) -> str:
    """The picture inside the page's own text, so that no file of it lies anywhere."""
    return f'<img alt="{html.escape(alt)}" src="{data_url(picture, 88, full_colour=True)}">'


def head_html(judge: Judge) -> str:
    name = f" <code>{html.escape(judge.name)}</code>" if judge.name else ""
    return (
        f"<h1>Image &amp; Text Consistency</h1><p>Is the text an accurate description of the picture? The model{name} "
        "gives a score, a verdict, and the words and places that decided it.</p>"
    )


def picture_html(picture: Image.Image | None, name: str = "") -> str:
    """The chosen picture, and the place to drop one."""
    shown = image_tag(picture, f"The chosen picture: {name}") if picture else ""
    return (
        f'<div class="drop">{shown}<p><label class="choose">Choose a picture<input type="file" accept="image/*">'
        "</label> or drop it here, or paste it</p></div>"
    )


def verdict_html(verdict: Verdict, at: float, lowest: float) -> str:
    """The verdict at a threshold; of another threshold than the tuned one it is said."""
    match = verdict.score >= at
    name, sign, mark = ("MATCH", "≥", "✓") if match else ("MISMATCH", "<", "✗")
    says = "The text describes the picture." if match else "The text does not describe the picture."
    score, line = (100 * (min(max(value, lowest), 1) - lowest) / (1 - lowest) for value in (verdict.score, at))
    moved = ""
    if at != verdict.threshold:
        tuned = "MATCH" if verdict.match else "MISMATCH"
        moved = f'<p class="note">At your threshold. The tuned one is {verdict.threshold:.3f}: {tuned}.</p>'
    return (
        f'<div class="verdict {name.lower()}" role="status">'
        f'<strong><span aria-hidden="true">{mark}</span> {name}</strong><p>{says}</p>'
        f'<div class="gauge" aria-hidden="true"><i style="width:{score:.1f}%"></i>'
        f'<b style="left:{line:.1f}%"></b></div>'
        f"<p>Score <b>{verdict.score:.3f}</b> {sign} threshold <b>{at:.3f}</b></p>"
        f"<p>Probability of a match <b>{per_cent(verdict.probability)}</b>, "
        "if true and false texts are equally frequent</p>"
        f"{moved}</div>"
    )


def per_cent(share: float) -> str:
    """Whole per cent; what is not certain is not shown as 0 or 100."""
    return "under 1 %" if share < 0.01 else "over 99 %" if share > 0.99 else f"{100 * share:.0f} %"


def words_html(seen: Seen, at: float) -> str:
    """The text, each word coloured by its own score; a press on a word shows its place."""
    verdict = seen.verdict
    assert verdict is not None, "judged before"
    parts, end = [], 0
    for number, word in enumerate(verdict.words):
        space = html.escape(seen.text[end : word.start])
        end = word.end
        if seen.text[end : end + 1] and seen.text[end] in ".,;:!?)":
            end += 1  # it stays in the line of its word
        mark = html.escape(seen.text[word.end : end])
        parts.append(f'{space}<span class="keep">{word_html(word, number, seen, at)}{mark}</span>')
    rest = html.escape(seen.text[end:])
    notes = ["Each word has its own score: green fits, orange does not."]
    if verdict.heat is not None:
        notes.append("Press a word to see where.")
    if not all(word.known for word in verdict.words):
        notes.append("Dashed and with a question mark: not in the vocabulary, its score says little.")
    if verdict.unread:
        notes.append(f"The last {verdict.unread} words were not read: the model reads {len(verdict.words)}.")
    return f'<p class="words">{"".join(parts)}<span class="rest">{rest}</span></p><p class="note">{" ".join(notes)}</p>'


def word_html(word: WordScore, number: int, seen: Seen, at: float) -> str:
    verdict = seen.verdict
    assert verdict is not None, "judged before"
    unknown = "" if word.known else ", not in the vocabulary"
    red, green, blue = tint(word.score, verdict, at)
    name = f"{html.escape(word.text)}{'' if word.known else '?'}<small>{word.score:.2f}</small>"
    look = f'class="word{"" if word.known else " unknown"}" style="background:rgb({red},{green},{blue})"'
    label = f'aria-label="{html.escape(word.text)}, score {word.score:.2f}{unknown}"'
    if verdict.heat is None:
        return f"<span {look}>{name}</span>"
    pressed = str(number == seen.chosen).lower()
    return f'<button type="button" {look} {label} data-index="{number}" aria-pressed="{pressed}">{name}</button>'


def tint(score: float, verdict: Verdict, at: float) -> tuple[int, ...]:
    """From orange over grey, at the threshold, to green.

    Without word vectors a word's score is what the text's score loses without it; then grey is at 0.
    """
    if verdict.heat is None:
        share = score / max(0.05, *(abs(word.score) for word in verdict.words))
    else:
        share = (score - at) / 0.3
    share = min(max(share, -1.0), 1.0)
    return tuple(round(a + (b - a) * abs(share)) for a, b in zip(NEUTRAL, FIT if share > 0 else MISFIT))


def heat_html(seen: Seen) -> str:
    """Where the judge found the chosen word."""
    verdict = seen.verdict
    assert verdict is not None, "judged before"
    if verdict.heat is None:
        return (
            '<p class="note">This model compares the picture with the text as a whole, so it finds no word in a place. '
            "The number of a word is what the score of the text loses without it.</p>"
        )
    word = verdict.words[seen.chosen]
    lowest, highest = heat_lib.heat_range(verdict)
    over = heat_lib.overlay(seen.shown, verdict.heat[seen.chosen], lowest, highest)
    frame, where = "", ""
    if word.box:
        left, top, right, bottom = (100 * share for share in word.box)
        size = f"width:{right - left:.2f}%;height:{bottom - top:.2f}%"
        frame = f'<span class="frame" style="left:{left:.2f}%;top:{top:.2f}%;{size}"></span>'
        where = place_name((left + right) / 2, (top + bottom) / 2)
    name = html.escape(word.text)
    image = image_tag(over, f"Heat of the word {word.text}: it fits best {where}")
    return (
        f'<figure><div class="map">{image}{frame}</div>'
        f"<figcaption>Where <b>{name}</b> fits: best in the frame, {word.score:.2f}"
        f'<span class="scale"><span>{lowest:.2f}</span><i></i><span>{highest:.2f}</span></span></figcaption></figure>'
    )


def place_name(x: float, y: float) -> str:
    """A place in words; x and y in per cent."""
    words = [name for name in (thirds(y, "upper", "lower"), thirds(x, "left", "right")) if name]
    return f"in the {' '.join(words)} part" if words else "in the middle"


def thirds(value: float, first: str, last: str) -> str:
    return first if value < 100 / 3 else last if value > 200 / 3 else ""


def corrections_html(found: Sequence[Suggestion]) -> str:
    """Corrections as buttons that put the corrected text into the text box."""
    if not found:
        return '<h2>Corrections</h2><p class="note">No other word of the same kind scores higher.</p>'
    rows = []
    for number, one in enumerate(found):
        digits = 2 if f"{one.before:.2f}" != f"{one.after:.2f}" else 3
        gain = f"({one.before:.{digits}f} → {one.after:.{digits}f})"
        rows.append(
            f'<li><button type="button" data-index="{number}" data-text="{html.escape(one.text)}">'
            f"<span>{html.escape(one.old)} → <b>{html.escape(one.new)}</b> {gain}</span> "
            f"<small>{html.escape(one.text)}</small></button></li>"
        )
    note = '<p class="note">Press one to judge the corrected text.</p>'
    return f"<h2>Corrections</h2><ul>{''.join(rows)}</ul>{note}"


def examples_html(judge: Judge) -> str:
    """Drawn scenes with a text each; of a model of photographs it is said that it never saw drawings."""
    trained_on = judge.loaded.config.data.name
    note = ""
    if not trained_on.startswith("scenes"):
        trained = f"The model was trained on {html.escape(trained_on)}, so they tell little."
        note = f'<p class="note">These are drawings. {trained}</p>'
    cards = []
    for number, example in enumerate(EXAMPLES):
        picture = drawings(example.seed)[1].resize((192, 192), Image.Resampling.LANCZOS)
        truth = "true" if example.true else "false"
        cards.append(
            f'<li><button type="button" data-index="{number}">{image_tag(picture, "")}'
            f"<span>{html.escape(example.text)} <em>{truth}</em></span></button></li>"
        )
    return f"<h2>Examples</h2>{note}<ul>{''.join(cards)}</ul>"


NO_PICTURE = picture_html(None)
WAITING = '<p class="note">The verdict appears here.</p>'
LOOKING = '<h2>Corrections</h2><p class="note">Looking for words that fit better …</p>'

# The name of an upload is drawn anew: two visitors' uploads of one file would have one path, and the first to be read
# is deleted.
UPLOAD = f"""
async function send(file) {{
  if (!file) return;
  if (file.size > {MOST_BYTES}) return trigger('refuse', {{name: file.name, bytes: file.size}});
  element.querySelector('.drop')?.classList.add('busy');
  try {{
    const drawn = Date.now() + '-' + Math.random().toString(36).slice(2);
    const {{path}} = await upload(new File([file], drawn));
    trigger('upload', {{path, name: file.name}});
  }} catch (error) {{
    trigger('refuse', {{name: file.name}});
  }} finally {{
    element.querySelector('.drop')?.classList.remove('busy');
  }}
}}
element.addEventListener('change', event => {{
  const file = event.target.files[0];
  send(file).then(() => {{ event.target.value = ''; }});
}});
element.addEventListener('dragover', event => event.preventDefault());
element.addEventListener('drop', event => {{ event.preventDefault(); send(event.dataTransfer.files[0]); }});
document.addEventListener('paste', event => send(event.clipboardData?.files[0]));
"""


# A press on a word, a correction or an example.
CHOOSE = """
element.addEventListener('click', event => {
  const chosen = event.target.closest('[data-index]');
  if (chosen) trigger('select', {index: Number(chosen.dataset.index), text: chosen.dataset.text ?? ''});
});
"""

CSS = """
.gradio-container { max-width: 1100px !important; margin: 0 auto; }
.gradio-container h1 { font-size: 1.5rem; font-weight: 700; margin: 0 0 .25rem; }
.gradio-container h2 { font-size: 1.05rem; font-weight: 600; margin: .25rem 0 .5rem; }
.gradio-container p { margin: .25rem 0; }
.gradio-container ul { list-style: none; padding: 0; margin: 0; }
.plain, .plain > .html-container { padding: 0 !important; min-width: 0; overflow-wrap: anywhere; }
.note, #corrections small { font-size: .85rem; color: color-mix(in srgb, var(--body-text-color) 75%, transparent); }
.told { padding: .75rem 1rem; border-radius: 8px; border: 2px solid #d55e00; color: var(--body-text-color);
  background: color-mix(in srgb, #d55e00 12%, var(--background-fill-primary)); overflow-wrap: anywhere; }
.drop { border: 2px dashed var(--border-color-primary); border-radius: 8px; padding: 1rem; text-align: center;
  background: var(--background-fill-primary); }
.drop img { display: block; margin: 0 auto .75rem; width: 100%; max-width: 420px; max-height: 420px;
  object-fit: contain; border-radius: 4px; }
.drop.busy { opacity: .5; }
.choose { display: inline-block; padding: .4rem .9rem; border-radius: 6px; cursor: pointer; font-weight: 600;
  background: var(--button-secondary-background-fill); color: var(--button-secondary-text-color); position: relative; }
.choose input { position: absolute; inset: 0; opacity: 0; cursor: pointer; width: 100%; }
.choose:focus-within { outline: 3px solid #0072b2; outline-offset: 2px; }
.verdict { border-radius: 8px; padding: .9rem 1.1rem; border: 2px solid; }
.verdict strong { font-size: 1.5rem; letter-spacing: .02em; }
.verdict p, .verdict b { color: var(--body-text-color); }
.verdict.match { border-color: #009e73; background: color-mix(in srgb, #009e73 12%, var(--background-fill-primary)); }
.verdict.mismatch { border-color: #d55e00;
  background: color-mix(in srgb, #d55e00 12%, var(--background-fill-primary)); }
.verdict.match strong { color: #00664a; }
.verdict.mismatch strong { color: #a04000; }
.dark .verdict.match strong { color: #4fd8ae; }
.dark .verdict.mismatch strong { color: #ff9d57; }
.gauge { position: relative; height: 10px; margin: .7rem 0; border-radius: 5px;
  background: color-mix(in srgb, var(--body-text-color) 15%, transparent); }
.gauge i { position: absolute; inset: 0 auto 0 0; border-radius: 5px; }
.match .gauge i { background: #009e73; }
.mismatch .gauge i { background: #d55e00; }
.gauge b { position: absolute; top: -5px; bottom: -5px; width: 3px; margin-left: -1px;
  background: var(--body-text-color); }
.words { line-height: 2.5; overflow-wrap: anywhere; }
.word { color: #1a1a1a; border: 2px solid transparent; border-radius: 6px; padding: .15rem .4rem; font-size: 1rem;
  line-height: 1.3; font-family: inherit; display: inline-block; max-width: 100%; white-space: normal;
  overflow-wrap: anywhere; }
button.word { cursor: pointer; }
.word small { margin-left: .35em; font-size: .75rem; color: #1a1a1a; font-variant-numeric: tabular-nums; }
.word.unknown { border: 2px dashed #666; }
.word[aria-pressed=true] { border: 2px solid #0072b2; box-shadow: 0 0 0 2px #0072b2; }
.keep { white-space: nowrap; }
.rest { opacity: .75; }
button:focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
#heat figure { margin: 0; max-width: 400px; }
.map { position: relative; }
.map img { display: block; width: 100%; border-radius: 4px; }
.frame { position: absolute; border: 3px solid #fff; outline: 2px solid #000; box-sizing: border-box; }
#heat figcaption { font-size: .85rem; margin-top: .4rem; }
.scale { display: flex; gap: .5rem; align-items: center; font-variant-numeric: tabular-nums; }
.scale i { flex: 1; height: 8px; border-radius: 4px;
  background: linear-gradient(90deg, #000004, #420a68, #932667, #dd513a, #fca50a, #fcffa4); }
#corrections li { margin-bottom: .4rem; }
#corrections button, #examples button { width: 100%; text-align: left; cursor: pointer; border-radius: 8px;
  padding: .5rem .7rem; border: 1px solid var(--border-color-primary); font-family: inherit;
  background: var(--background-fill-primary); color: var(--body-text-color); }
#corrections button:hover, #examples button:hover { border-color: #0072b2; }
#corrections small { display: block; }
#examples ul { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: .6rem; }
@media (max-width: 900px) { #examples ul { grid-template-columns: repeat(3, minmax(0, 1fr)); } }
@media (max-width: 500px) { #examples ul { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
#examples em { display: block; margin-top: .2rem; opacity: .75; }
#examples li, #examples button { height: 100%; }
#examples button { display: flex; flex-direction: column; gap: .4rem; justify-content: flex-start; font-size: .85rem; }
#examples img { width: 100%; border-radius: 4px; }
.column:not(:has(.verdict)) #threshold { display: none; }
#threshold button { align-self: center; }
@media (min-width: 900px) { #inputs { position: sticky; top: 1rem; } }
"""
