"""The HTML and the scripts of the web page: the picture, the verdict, the words, the heat map, the corrections.

`html.escape` is applied to every text of a visitor or a file. Pictures are in the page as data URLs.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageOps

from common.pictures import data_url
from judging.doubt import content_words
from judging.examples import examples_for
from judging.heat import heat_range, overlay
from judging.judge import Judge, Verdict, WordScore
from judging.notebook import end_of, notes, pieces, tint
from judging.suggest import Suggestion
from judging.web_uploads import MOST_BYTES


@dataclass(frozen=True, eq=False)
class Visit:
    """The state of one visitor: the chosen picture and the verdict."""

    picture: Image.Image  # as the model reads it
    shown: Image.Image  # as the page shows it
    verdict: Verdict | None = None
    chosen: int = 0  # index of the word whose heat map is shown

    @property
    def judged(self) -> Verdict:
        """The verdict. The visit must have one."""
        assert self.verdict is not None, "no text was judged yet"
        return self.verdict


def threshold_at(judge: Judge, slider: float | None) -> float:
    """The threshold that the slider sets.

    The slider has three digits. At the rounded tuned threshold it sets the exact one.
    """
    tuned = judge.threshold
    return tuned if slider is None or abs(slider - tuned) <= 5.01e-4 else float(slider)


def first_shown(verdict: Verdict) -> int:
    """Index of the known content word with the lowest score; without one, of the unknown one with the lowest."""
    words = verdict.words
    return min(content_words([word.text for word in words]), key=lambda i: (not words[i].known, words[i].score))


def alert_html(message: str) -> str:
    """An error message in place of a verdict."""
    return f'<div class="alert" role="alert">{html.escape(message)}</div>'


def image_tag(picture: Image.Image, alt: str) -> str:
    """An <img> whose picture is a data URL, so that the server needs no file of it."""
    return f'<img alt="{html.escape(alt)}" src="{data_url(picture, 88, full_colour=True)}">'


def head_html(judge: Judge) -> str:
    """The heading of the page, with the name of the model."""
    name = f" <code>{html.escape(judge.name)}</code>" if judge.name else ""
    name += f", trained on {html.escape(judge.trained_on)}," if judge.trained_on else ""
    return (
        f"<h1>Image &amp; Text Consistency</h1><p>Is the text an accurate description of the picture? The model{name} "
        "gives a score, a verdict, and the words and places that decided it.</p>"
    )


def picture_html(picture: Image.Image | None, name: str = "") -> str:
    """The chosen picture, if there is one, and the area to drop another."""
    shown = image_tag(picture, f"The chosen picture: {name}") if picture else ""
    return (
        f'<div class="drop">{shown}<p><label class="choose">Choose a picture<input type="file" accept="image/*">'
        "</label> or drop it here, or paste it</p></div>"
    )


def verdict_html(verdict: Verdict, at: float, lowest: float) -> str:
    """The verdict at the threshold `at`, with a note if that is not the tuned one.

    lowest: the score at the left end of the gauge.
    """
    match = verdict.score >= at
    name, sign, mark = ("MATCH", "≥", "✓") if match else ("MISMATCH", "<", "✗")
    meaning = "The text describes the picture." if match else "The text does not describe the picture."
    unsure = bool(verdict.why) and (verdict.outside or at == verdict.threshold)  # a risk is for the tuned threshold
    if unsure:
        name, mark, meaning = "UNSURE", "?", f"{verdict.why[0].upper()}{verdict.why[1:]}."
    score, line = (100 * (min(max(value, lowest), 1) - lowest) / (1 - lowest) for value in (verdict.score, at))
    moved = ""
    if at != verdict.threshold:
        tuned = verdict.verdict.upper()
        moved = f'<p class="note">This is at your threshold. At the tuned one, {verdict.threshold:.3f}: {tuned}.</p>'
    probability = (
        f"<p>Probability of a match <b>{per_cent(verdict.probability)}</b>, "
        "if true and false texts are equally frequent</p>"
    )
    return (
        f'<div class="verdict {name.lower()}" role="status">'
        f'<strong><span aria-hidden="true">{mark}</span> {name}</strong><p>{html.escape(meaning)}</p>'
        f'<div class="gauge" aria-hidden="true"><i style="width:{score:.1f}%"></i>'
        f'<b style="left:{line:.1f}%"></b></div>'
        f"<p>Score <b>{verdict.score:.3f}</b> {sign} threshold <b>{at:.3f}</b></p>"
        f"{'' if unsure else probability}{moved}</div>"
    )


def per_cent(probability: float) -> str:
    """Whole per cent; never 0 or 100, because no verdict is certain."""
    if probability < 0.01:
        return "under 1 %"
    return "over 99 %" if probability > 0.99 else f"{100 * probability:.0f} %"


def words_html(visit: Visit, at: float) -> str:
    """The text, each word coloured by its own score; a click on a word shows its heat map."""
    verdict = visit.judged
    words = "".join(
        f'{space}<span class="keep">{word_html(word, number, visit, at)}{mark}</span>'
        for number, (space, word, mark) in enumerate(pieces(verdict))
    )
    rest = html.escape(verdict.text[end_of(verdict) :])
    below = notes(verdict)
    if verdict.heat is not None:
        below.insert(1, "Press a word to see where.")
    note = html.escape(" ".join(below))
    return f'<p class="words">{words}<span class="rest">{rest}</span></p><p class="note">{note}</p>'


def word_html(word: WordScore, number: int, visit: Visit, at: float) -> str:
    """One word with its score: a button, unless the model has no word vectors and so no heat maps."""
    verdict = visit.judged
    unknown = "" if word.known else ", not in the vocabulary"
    red, green, blue = tint(word.score, verdict, at)
    name = f"{html.escape(word.text)}{'' if word.known else '?'}<small>{word.score:.2f}</small>"
    look = f'class="word{"" if word.known else " unknown"}" style="background:rgb({red},{green},{blue})"'
    label = f'aria-label="{html.escape(word.text)}, score {word.score:.2f}{unknown}"'
    if verdict.heat is None:
        return f"<span {look}>{name}</span>"
    pressed = str(number == visit.chosen).lower()
    return f'<button type="button" {look} {label} data-index="{number}" aria-pressed="{pressed}">{name}</button>'


def heat_html(visit: Visit) -> str:
    """The heat map of the chosen word, with a frame around its best patch."""
    verdict = visit.judged
    if verdict.heat is None:
        return (
            '<p class="note">This model compares the picture with the text as a whole, so it has no places of words. '
            "The number of a word is what the score of the text loses without it.</p>"
        )
    word = verdict.words[visit.chosen]
    name = html.escape(word.text)
    if not word.known:
        meant = f" Did you mean <b>{html.escape(word.meant)}</b>?" if word.meant else ""
        return f'<p class="note"><b>{name}</b> is not in the vocabulary, so it has no heat map.{meant}</p>'
    lowest, highest = heat_range(verdict)
    over = overlay(visit.shown, verdict.heat[visit.chosen], lowest, highest)
    frame, where = "", ""
    if word.box:
        left, top, right, bottom = (100 * fraction for fraction in word.box)
        size = f"width:{right - left:.2f}%;height:{bottom - top:.2f}%"
        frame = f'<span class="frame" style="left:{left:.2f}%;top:{top:.2f}%;{size}"></span>'
        where = place_name((left + right) / 2, (top + bottom) / 2)
    looks = "fits: best in the frame" if verdict.heat_is == "cosine" else "looks: most in the frame"
    verb = "fits best" if verdict.heat_is == "cosine" else "looks most"
    image = image_tag(over, f"Heat map of the word {word.text}: it {verb} {where}")
    return (
        f'<figure><div class="map">{image}{frame}</div>'
        f"<figcaption>Where <b>{name}</b> {looks}, score {word.score:.2f}"
        f'<span class="scale"><span>{lowest:.2f}</span><i></i><span>{highest:.2f}</span></span></figcaption></figure>'
    )


def place_name(x: float, y: float) -> str:
    """A place in words, for screen readers; x and y in per cent of the picture."""
    words = [name for name in (thirds(y, "upper", "lower"), thirds(x, "left", "right")) if name]
    return f"in the {' '.join(words)} part" if words else "in the middle"


def thirds(value: float, first: str, last: str) -> str:
    """`first` or `last` for the outer thirds of 0 to 100, "" for the middle."""
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
    """The examples as buttons."""
    cards = []
    for number, example in enumerate(examples_for(judge)):
        picture = ImageOps.fit(example.open()[1], (192, 192), Image.Resampling.LANCZOS)
        truth = "true" if example.true else "false"
        cards.append(
            f'<li><button type="button" data-index="{number}">{image_tag(picture, "")}'
            f"<span>{html.escape(example.text)} <em>{truth}</em></span></button></li>"
        )
    return f"<h2>Examples</h2><ul>{''.join(cards)}</ul>"


NO_PICTURE = picture_html(None)
WAITING = '<p class="note">The verdict appears here.</p>'
LOOKING = '<h2>Corrections</h2><p class="note">Looking for words that fit better …</p>'

# An upload gets a random name. The server makes its path from content and name, so the same file of two visitors would
# have one path, and reading it for the first visitor deletes it.
UPLOAD = f"""
let latest = 0;
async function send(file) {{
  if (!file) return;
  const number = ++latest, turn = window.turns.begin(), about = {{name: file.name}};
  let event = 'upload';
  element.querySelector('.drop')?.classList.add('busy');
  try {{
    if (file.size > {MOST_BYTES}) throw about.bytes = file.size;
    const drawn = Date.now() + '-' + Math.random().toString(36).slice(2);
    about.upload = (await upload(new File([file], drawn))).path;
  }} catch (error) {{
    event = 'refuse';
  }}
  await turn.alone();
  if (number === latest) {{
    element.querySelector('.drop')?.classList.remove('busy');
    window.turns.sent.push(turn);
    trigger(event, about);
  }} else turn.end();  // another picture was chosen meanwhile
}}
element.addEventListener('change', event => {{
  const file = event.target.files[0];
  send(file).then(() => {{ event.target.value = ''; }});
}});
element.addEventListener('dragover', event => event.preventDefault());
element.addEventListener('drop', event => {{ event.preventDefault(); send(event.dataTransfer.files[0]); }});
document.addEventListener('paste', event => send(event.clipboardData?.files[0]));
"""


# One thing after the other. A check that is pressed while a picture is on its way would judge the picture before it,
# and an upload that ends during a check would be forgotten with the state that the check returns. So what is pressed
# meanwhile waits: the last press is done when all is settled, unless an error is shown. ENDED is run by the last event
# of each turn; a turn whose end is lost, because the server is gone, ends after a minute.
TURNS = """
const turns = window.turns = {
  coming: new Set(), sent: [], waiting: null, pressed: null,
  begin() {
    const turn = {end: () => turns.end(turn), alone: async () => {
      while (turns.pressed) await new Promise(resolve => setTimeout(resolve, 20));
    }};
    turns.coming.add(turn);
    setTimeout(turn.end, 60000);
    return turn;
  },
  end(turn) {
    turns.coming.delete(turn);
    if (turns.pressed === turn) turns.pressed = null;
    if (turns.coming.size || !turns.waiting) return;
    const press = turns.waiting;
    turns.waiting = null;
    if (!document.querySelector('#verdict .alert')) press();
  },
  ended() { turns.end(turns.pressed ?? turns.sent.shift()); },
};
function guard(event) {
  const chosen = event.target.closest?.('#check, [data-index]');
  const enter = event.key === 'Enter' && !event.shiftKey && !event.isComposing && event.target.closest?.('#text');
  if (event.type === 'click' ? !chosen : !enter) return;
  if (!turns.coming.size) { turns.pressed = turns.begin(); return; }
  event.preventDefault();
  event.stopImmediatePropagation();
  const press = enter ? document.querySelector('#check') : chosen;
  turns.waiting = () => { if (press.isConnected) press.click(); };
}
document.addEventListener('click', guard, true);
document.addEventListener('keydown', guard, true);
"""
ENDED = "() => { setTimeout(() => window.turns.ended(), 50); }"  # when the page shows the results

# A click on a word, a correction or an example.
CHOOSE = """
element.addEventListener('click', event => {
  const chosen = event.target.closest('[data-index]');
  if (chosen) trigger('select', {index: Number(chosen.dataset.index), text: chosen.dataset.text ?? ''});
});
"""
