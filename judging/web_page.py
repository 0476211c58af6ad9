"""The web page as Gradio blocks: the layout, and what each event does.

This module imports Gradio, which takes 3 seconds; judging/web.py imports it when the server starts.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from judging.examples import examples_for
from judging.inputs import InputError
from judging.judge import Judge
from judging.suggest import suggest
from judging.web_guard import Check, is_nothing, is_number, is_text
from judging.web_html import (
    CHOOSE,
    ENDED,
    LOOKING,
    NO_PICTURE,
    TURNS,
    UPLOAD,
    WAITING,
    Visit,
    alert_html,
    corrections_html,
    examples_html,
    first_shown,
    head_html,
    heat_html,
    picture_html,
    threshold_at,
    verdict_html,
    words_html,
)
from judging.web_uploads import MOST_BYTES, read_upload

MOST_LETTERS = 2000  # of a text; the model reads at most 64 words
IDLE = 1800  # seconds without an event until the state of a visitor is deleted
AT_ONCE = 2  # verdicts that are computed at the same time, and uploads that are decoded; others wait in a queue

Outputs = tuple[Any, ...]  # new values of the parts that `connect` lists as outputs; gr.skip() keeps the old value


class Handlers:
    """The event handlers of a judge's page. `visit` is None until a visitor has chosen a picture."""

    def __init__(self, judge: Judge):
        self.judge = judge
        self.tuned = round(judge.threshold, 3)
        # Left end of the slider and the gauge. With a tuned threshold near 0, scores below 0 matter.
        self.lowest = 0.0 if self.tuned > 0.1 else -1.0

    def fail(self, visit: Visit | None, message: str) -> Outputs:
        """Show the message in place of a verdict; the picture stays."""
        return visit and replace(visit, verdict=None), alert_html(message), "", "", ""

    def upload(self, visit: Visit | None, event: gr.EventData) -> Outputs:
        """Show an upload as the visitor's picture."""
        name = text_in(event, "name") or "picture"
        try:
            picture = read_upload(text_in(event, "upload", 500), Path(gr.utils.get_upload_folder()))
        except ValueError as error:
            return gr.skip(), *self.fail(visit, f"{name}: {error}")
        return picture_html(picture, name), Visit(picture, picture), WAITING, "", "", ""

    def refuse(self, visit: Visit | None, event: gr.EventData) -> Outputs:
        """Say why the browser did not upload a file."""
        name, size = text_in(event, "name"), number_in(event, "bytes")
        if size is not None:
            limit = f"at most {MOST_BYTES / 1e6:,.0f} MB are accepted"
            return self.fail(visit, f"{name}: the file has {size / 1e6:,.1f} MB; {limit}")
        return self.fail(visit, f"{name}: the upload failed; wait a minute, then try again")

    def check(self, visit: Visit | None, text: str, threshold: float) -> Outputs:
        """Judge the text."""
        text = (text or "").strip()
        if visit is None:
            return self.fail(visit, "Choose a picture first.")
        if not text:
            return self.fail(visit, "Type a text to check.")
        if len(text) > MOST_LETTERS:
            return self.fail(visit, f"The text has {len(text):,} letters; at most {MOST_LETTERS:,} are accepted.")
        try:
            verdict = self.judge.check(visit.picture, text)
        except InputError as error:
            return self.fail(visit, f"This {error.kind} cannot be judged: {error.reason}.")
        visit = replace(visit, verdict=verdict, chosen=first_shown(verdict))
        return visit, *self.show(visit, threshold), heat_html(visit), LOOKING

    def correct(self, visit: Visit | None) -> Any:
        """Show corrections of the text. It is a separate event after the verdict, since it can wait for spaCy."""
        if visit is None or visit.verdict is None:
            return gr.skip()
        try:
            found = suggest(self.judge, visit.picture, visit.verdict.text)
        except (ModuleNotFoundError, OSError):
            return '<p class="note">Corrections need spaCy and its English pipeline.</p>'
        return corrections_html(found)

    def choose(self, visit: Visit | None, threshold: float, event: gr.EventData) -> Outputs:
        """Show the heat map of another word."""
        number = number_in(event, "index")
        if visit is None or visit.verdict is None or number is None or not 0 <= number < len(visit.verdict.words):
            return gr.skip(), gr.skip(), gr.skip()
        visit = replace(visit, chosen=number)
        return visit, words_html(visit, threshold_at(self.judge, threshold)), heat_html(visit)

    def show(self, visit: Visit | None, threshold: float) -> Outputs:
        """Show the verdict at another threshold; nothing is encoded again."""
        if visit is None or visit.verdict is None:
            return gr.skip(), gr.skip()
        at = threshold_at(self.judge, threshold)
        return verdict_html(visit.verdict, at, self.lowest), words_html(visit, at)

    def exemplify(self, threshold: float, event: gr.EventData) -> Outputs:
        """Judge an example."""
        examples = examples_for(self.judge)
        example = examples[(number_in(event, "index") or 0) % len(examples)]
        visit = Visit(*example.open())
        picture = picture_html(visit.shown, example.name)
        return picture, example.text, *self.check(visit, example.text, threshold)

    def take_over(self, event: gr.EventData) -> str:
        """The corrected text, for the text box."""
        return text_in(event, "text", MOST_LETTERS)

    def reset(self) -> float:
        """Put the slider back to the tuned threshold."""
        return self.tuned


def text_in(event: gr.EventData, name: str, most: int = 80) -> str:
    """A text of an event, at most so many letters; "" if it has none. What is no character is "?"."""
    value = event._data.get(name) if isinstance(event._data, dict) else None
    return value[:most].encode(errors="replace").decode() if isinstance(value, str) else ""


def number_in(event: gr.EventData, name: str) -> int | None:
    """A whole number of an event."""
    value = event._data.get(name) if isinstance(event._data, dict) else None
    return value if type(value) is int else None


class Parts(NamedTuple):
    """The parts of the page that have events or that events change."""

    state: Any  # the Visit
    picture: Any
    text: Any
    button: Any
    verdict: Any
    slider: Any
    reset: Any
    words: Any
    heat: Any
    corrections: Any
    examples: Any


def build(judge: Judge) -> gr.Blocks:
    """The page, ready for `launch`."""
    on = Handlers(judge)
    with gr.Blocks(title="Image & Text Consistency", analytics_enabled=False) as page:
        connect(lay_out(on), on)
    return page


def checks_of(page: gr.Blocks) -> dict[int, list[Check]]:
    """For each event of the page, a check of each of its inputs."""
    return {number: [check_of(part) for part in event.inputs] for number, event in page.fns.items()}


def check_of(part: Any) -> Check:
    """Can this value come from that part of the page? The state of a visitor stays here, so its value is None."""
    if isinstance(part, gr.Slider):
        return partial(is_number, lowest=part.minimum, highest=part.maximum)
    return is_nothing if isinstance(part, gr.State) else is_text


def lay_out(on: Handlers) -> Parts:
    """Create the parts: the inputs on the left, the results on the right, examples below."""
    plain: dict[str, Any] = {"apply_default_css": False, "elem_classes": "plain"}
    state = gr.State(time_to_live=IDLE)
    gr.HTML(head_html(on.judge), js_on_load=None, **plain)
    with gr.Row(equal_height=False):
        with gr.Column(min_width=320, elem_id="inputs"):
            picture = gr.HTML(NO_PICTURE, js_on_load=TURNS + UPLOAD, elem_id="picture", **plain)
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
                scale: dict[str, Any] = {"step": 0.001, "buttons": [], "scale": 4, "min_width": 250}
                slider = gr.Slider(on.lowest, 1.0, on.tuned, label="Another threshold", **scale)
                reset = gr.Button(f"Reset to {on.tuned:.3f}", size="sm", scale=1, min_width=120)
            words = gr.HTML("", js_on_load=CHOOSE, elem_id="words", **plain)
            heat = gr.HTML("", js_on_load=None, elem_id="heat", **plain)
            corrections = gr.HTML("", js_on_load=CHOOSE, elem_id="corrections", **plain)
    examples = gr.HTML(examples_html(on.judge), js_on_load=CHOOSE, elem_id="examples", **plain)
    return Parts(state, picture, text, button, verdict, slider, reset, words, heat, corrections, examples)


def connect(parts: Parts, on: Handlers) -> None:
    """Bind the handlers to the events of the parts, each with its inputs and outputs."""
    state, picture, text, button, verdict, slider, reset, words, heat, corrections, examples = parts
    light: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    heavy: dict[str, Any] = {**light, "concurrency_id": "judge", "concurrency_limit": AT_ONCE}
    results = [state, verdict, words, heat, corrections]
    uploaded = picture.upload(on.upload, state, [picture, *results], **light, concurrency_limit=AT_ONCE)
    refused = picture.refuse(on.refuse, state, results, **light)
    checks = [event(on.check, [state, text, slider], results, **heavy) for event in (button.click, text.submit)]
    shown = examples.select(on.exemplify, slider, [picture, text, *results], **heavy)
    chosen = words.select(on.choose, [state, slider], [state, words, heat], **light)
    taken = corrections.select(on.take_over, None, text, **light)
    taken = taken.then(on.check, [state, text, slider], results, **heavy)
    for event in (uploaded, refused, *checks, shown, chosen, taken):
        event.then(None, js=ENDED, **light)
    for event in (*checks, shown, taken):
        event.then(on.correct, state, corrections, **heavy)
    slider.input(on.show, [state, slider], [verdict, words], **light, trigger_mode="always_last")
    reset.click(on.reset, None, slider, **light).then(on.show, [state, slider], [verdict, words], **light)
