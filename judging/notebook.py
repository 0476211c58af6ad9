"""A verdict as HTML for a notebook, and the colours of words that the web page shares.

Every text goes through `html.escape`. Styles are inline, since a notebook drops style sheets. Words and the verdict
have a light background with dark letters, and everything else has the notebook's own colour, so that it can be read on
light and on dark backgrounds.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from judging.judge import Verdict, WordScore

# Colours that stay distinct with colour blindness (Okabe & Ito 2008); dark text on them has a contrast of at least 9.
MISFIT, NEUTRAL, FIT = (244, 170, 120), (240, 240, 236), (120, 214, 180)
DOUBT = (240, 228, 66)  # behind UNSURE
INK = "#1a1a1a"  # of letters on these colours


def verdict_html(verdict: Verdict) -> str:
    """The verdict, its score and threshold, the text with each word coloured by its score, and notes below."""
    sign, mark, colour = ("≥", "✓", FIT) if verdict.match else ("<", "✗", MISFIT)
    if verdict.why:
        mark, colour = "?", DOUBT
    badge = f"background:rgb{colour};color:{INK};border-radius:5px;padding:.15em .5em;margin-right:.6em"
    numbers = f"score <b>{verdict.score:.3f}</b> {html.escape(sign)} threshold <b>{verdict.threshold:.3f}</b>"
    if not verdict.why:
        numbers += f", probability {verdict.probability:.2f}"
    words = "".join(
        f'{space}<span style="white-space:nowrap">{word_html(word, verdict)}{mark_after}</span>'
        for space, word, mark_after in pieces(verdict)
    )
    rest = html.escape(verdict.text[end_of(verdict) :])
    return (
        '<div style="font-family:system-ui,sans-serif;max-width:60em;overflow-wrap:anywhere">'
        f'<div style="margin:.3em 0"><strong style="{badge}">{mark} {verdict.verdict.upper()}</strong>{numbers}</div>'
        f"{because_html(verdict)}"
        f'<div style="line-height:2.3;margin:.3em 0">{words}<span style="opacity:.6">{rest}</span></div>'
        f'<div style="font-size:.85em;opacity:.75">{html.escape(" ".join(notes(verdict)))}</div>'
        f'<div style="font-size:.85em;opacity:.75">{html.escape(about(verdict))}</div></div>'
    )


def because_html(verdict: Verdict) -> str:
    """Why the judge is unsure, as a line; "" if it is not."""
    return f'<div style="margin:.3em 0">Because {html.escape(verdict.why)}.</div>' if verdict.why else ""


def about(verdict: Verdict) -> str:
    """Which model it was, as a sentence."""
    name = f" {verdict.model}" if verdict.model else ""
    return f"Model{name}, trained on {verdict.trained_on}." if verdict.trained_on else f"Model{name}."


def word_html(word: WordScore, verdict: Verdict) -> str:
    """One word on its colour, with its score; an unknown word has a dashed frame and a question mark."""
    frame = "2px solid transparent" if word.known else "2px dashed #666"
    look = f"background:rgb{tint(word.score, verdict, verdict.threshold)};color:{INK};border:{frame}"
    shape = "border-radius:6px;padding:.1em .35em;white-space:normal"
    return (
        f'<span style="{look};{shape}">{html.escape(word.text)}{"" if word.known else "?"}'
        f'<small style="margin-left:.35em;color:{INK}">{word.score:.2f}</small></span>'
    )


def pieces(verdict: Verdict) -> Iterator[tuple[str, WordScore, str]]:
    """Each word that was read, with what stands before it and the punctuation mark right after it, both escaped."""
    end = 0
    for word in verdict.words:
        space = html.escape(verdict.text[end : word.start])
        end = word.end + (verdict.text[word.end : word.end + 1] in tuple(".,;:!?)"))
        yield space, word, html.escape(verdict.text[word.end : end])


def end_of(verdict: Verdict) -> int:
    """Where the last piece of a text ends: what follows was not read."""
    last = verdict.words[-1].end
    return last + (verdict.text[last : last + 1] in tuple(".,;:!?)"))


def notes(verdict: Verdict) -> list[str]:
    """Sentences that explain the colours and marks."""
    found = [verdict.note] if verdict.note else []
    found.append("A green background: the word fits the picture. Orange: it does not.")
    if not all(word.known for word in verdict.words):
        found.append("Dashed and with a question mark: not in the vocabulary, so the score says little.")
    found += [f"Did you mean {word.meant} instead of {word.text}?" for word in verdict.words if word.meant]
    if verdict.unread:
        found.append(unread_note(verdict))
    return found


def unread_note(verdict: Verdict) -> str:
    """Says how many words were not read."""
    words = "word was" if verdict.unread == 1 else f"{verdict.unread} words were"
    return f"The last {words} not read: the model reads {len(verdict.words)}."


def tint(score: float, verdict: Verdict, at: float) -> tuple[int, int, int]:
    """Background colour (red, green, blue) of a word: orange below the threshold `at`, grey at it, green above it.

    A model without word vectors scores a word by how much the text's score falls without it; grey is then at 0.
    """
    if verdict.heat is None:
        strength = score / max(0.05, *(abs(word.score) for word in verdict.words))
    else:
        strength = (score - at) / 0.3
    strength = min(max(strength, -1.0), 1.0)
    red, green, blue = (round(a + (b - a) * abs(strength)) for a, b in zip(NEUTRAL, FIT if strength > 0 else MISFIT))
    return red, green, blue
