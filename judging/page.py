"""The most suspicious captions of a data set as one HTML page, for people who clean captions.

The page is a single file: pictures are data URLs, and it loads no font, script or style.
"""

import heapq
import html
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from common.command_line import counted
from common.metrics import Integers
from common.pictures import data_url
from common.storage import write_atomically
from Config import require
from judging.doubt import content_words
from judging.inputs import open_any
from judging.judge import Judge, Verdict, name_model
from judging.notebook import unread_note
from judging.suggest import Suggestion, suggest
from sources.files import find_below
from sources.pairs import path_below
from sources.tables import BrokenRow, our_columns, read_table

THUMBNAIL = 320  # pixels of the long side; 50 pictures make a page of about 1 MB
QUALITY = 80  # of their JPEG
SAME_SCORE = 0.02  # in bfloat16 the score of one model differs by up to 0.006 between machines
BINS = 40  # of the histogram
NAMED = 20  # rows without a score that the page lists
READ = {"image", "caption", "score", "verdict", "why", "unread_words", "error"}  # columns

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #666; --paper: #fff; --card: #f6f6f4; --line: #ddd;
  --bad: #b3261e; --bad-paper: #fbdcd9; --good: #1b6e3c; }
@media (prefers-color-scheme: dark) { :root { --ink: #eee; --soft: #aaa; --paper: #161616; --card: #222;
  --line: #3a3a3a; --bad: #ff9a90; --bad-paper: #5a1f1a; --good: #7fd6a0; } }
body { font: 16px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 1200px; padding: 1rem; }
h1 { font-size: 1.4rem; } .soft { color: var(--soft); } svg { width: 100%; max-width: 640px; height: auto; }
ol { list-style: none; padding: 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); }
li.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
li.card img { display: block; width: 100%; height: 220px; object-fit: contain; background: #8883; }
li.card div { padding: .6rem .8rem .8rem; } .caption { font-size: 1.05rem; margin: .2rem 0 .5rem; }
.caption span { border-radius: 3px; padding: 0 .1em; } .low { background: var(--bad-paper); color: var(--bad);
  text-decoration: underline wavy 1px; } .unknown { border-bottom: 1px dotted var(--soft); }
.fix { color: var(--good); margin: .2rem 0; } code { overflow-wrap: anywhere; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top; }
"""


class Suspect(NamedTuple):
    """A row with a low score."""

    row: int  # from 1
    image: str
    caption: str
    score: float
    why: str = ""  # the judge is unsure


@dataclass
class Summary:
    """The numbers of a scored file, and its worst rows."""

    rows: int = 0
    mismatches: int = 0
    unsure: int = 0
    unread: int = 0  # rows whose text has more words than the model reads
    suspects: list[Suspect] = field(default_factory=list)  # the worst first
    without: int = 0  # rows without a score
    errors: list[tuple[str, str, str]] = field(default_factory=list)  # the first rows without a score: row, image, why
    counts: Integers = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))  # of scores from -1 to 1


def write_report(path: Path, judge: Judge, scored: Path, images: Path, worst: int, suggestions: bool) -> int:
    """Write the page of the `worst` rows with the lowest scores of a scored file; returns how many are on it.

    images: folder of the pictures. suggestions: add corrections (needs spaCy). ValueError if the file has no scores, or
    scores of another model.
    """
    summary = summarise(scored, worst, judge.threshold)  # the limits of a risk, and what is outside, are in the file
    require(summary.rows > summary.without, f"{scored} has no scores; add --out FILE, which makes some")
    cards = [card(judge, images, suspect, suggestions) for suspect in summary.suspects]
    page = "\n".join(whole_page(judge, scored, summary, cards))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda part: part.write_text(page, encoding="utf-8"))
    return len(cards)


def summarise(scored: Path, worst: int, threshold: float) -> Summary:
    """Read a scored file once, in constant memory."""
    found = Summary()
    heap: list[tuple[float, int, Suspect]] = []  # the worst rows so far; heap[0] has the highest score of them
    names: tuple[str, ...] = ()  # columns of the last row
    ours: dict[str, str] = {}  # our name of each of them -> its name
    for _, row in read_table(scored, wanted=None):
        found.rows += 1
        broken, row = (row, row.fields) if isinstance(row, BrokenRow) else ("", row)
        if not broken:
            if names != tuple(row):
                names, known = tuple(row), our_columns(dict(zip(row, row)))
                ours = {name: theirs for name, theirs in known.items() if name in READ}
            row = {name: row[theirs] for name, theirs in ours.items()}
        score = None if broken else number_of(row.get("score"))
        if score is None:
            found.without += 1
            if len(found.errors) < NAMED:
                image, why = row.get("image"), broken or row.get("error")
                found.errors.append((f"{found.rows:,}", str(image or ""), str(why or "")))
            continue
        found.unsure += row.get("verdict") == "unsure"
        found.mismatches += score < threshold and row.get("verdict") != "unsure"
        found.unread += (number_of(row.get("unread_words")) or 0) > 0
        found.counts[min(BINS - 1, max(0, int((score + 1) / 2 * BINS)))] += 1
        if len(heap) == worst and (-score, -found.rows) < heap[0][:2]:
            continue
        why = str(row.get("why") or "") if row.get("verdict") == "unsure" else ""
        suspect = Suspect(found.rows, str(row.get("image")), str(row.get("caption")), score, why)
        heapq.heappush(heap, (-score, -found.rows, suspect))
        if len(heap) > worst:
            heapq.heappop(heap)
    found.suspects = [suspect for _, _, suspect in sorted(heap, reverse=True)]
    return found


def number_of(value: Any) -> float | None:
    """A score as a float; None if it is not a finite number."""
    try:
        return float(value) if math.isfinite(float(value)) else None
    except (TypeError, ValueError, OverflowError):  # OverflowError: a whole number of 400 digits
        return None


def card(judge: Judge, images: Path, suspect: Suspect, suggestions: bool) -> str:
    """One picture with its caption, in which words that do not fit are marked.

    ValueError if the score is from another model: marks and threshold would be those of the wrong one.
    """
    place = f"row {suspect.row:,}, <code>{html.escape(suspect.image)}</code>"
    try:
        picture = open_any(find_below(images, path_below(suspect.image, images)))
        verdict = judge.check(picture, suspect.caption)
        found = suggest(judge, picture, suspect.caption) if suggestions else []
    except (ValueError, OSError) as error:  # the picture has changed since it was scored
        caption, why = html.escape(suspect.caption), html.escape(str(error))
        return f'<li class="card"><div><p class="caption">{caption}</p><p>{why}</p>{place}</div></li>'
    require(
        abs(verdict.score - suspect.score) <= SAME_SCORE,
        f"row {suspect.row:,} has the score {suspect.score:.3f}, and {judge.name} gives it {verdict.score:.3f}: "
        "give the model that made the scores as --model",
    )
    why = suspect.why or verdict.why  # an earlier version wrote no reasons
    numbers = f"Unsure, because {html.escape(why)}: score {suspect.score:.2f}"
    if not why:
        name = "Match" if suspect.score >= judge.threshold else "Mismatch"
        numbers = f"{name}: score {suspect.score:.2f}, probability {float(judge.probability(suspect.score)):.2f}"
    if verdict.unread:
        numbers += f"<br>{html.escape(unread_note(verdict))}"
    return (
        f'<li class="card"><img alt="" src="{thumbnail(picture)}"><div>'
        f'<p class="caption">{marked(suspect.caption, verdict)}</p>{"".join(map(fix, found))}'
        f'<p class="soft">{numbers}<br>{place}</p></div></li>'
    )


def fix(found: Suggestion) -> str:
    """One correction as HTML."""
    change = f"{html.escape(found.old)} → <b>{html.escape(found.new)}</b>"
    return f'<p class="fix">{change} ({found.before:.2f} → {found.after:.2f})</p>'


def marked(text: str, verdict: Verdict) -> str:
    """The text as HTML: words below the threshold are marked, and the tooltip of a word is its score."""
    parts, position = [], 0
    # With only the pooled score, a word's score is what the text's score loses without it: below 0 it does not fit.
    least = 0.0 if verdict.heat is None else verdict.threshold
    content = content_words([word.text for word in verdict.words])
    for number, word in enumerate(verdict.words):
        low = word.known and number in content and word.score < least
        kind = "" if word.known else "unknown"
        meant = f"; did you mean {word.meant}?" if word.meant else ""
        title = f"{word.score:.2f}" if word.known else f"not in the vocabulary{html.escape(meant)}"
        inside = html.escape(text[word.start : word.end])
        parts += [
            html.escape(text[position : word.start]),
            f'<span class="{"low" if low else kind}" title="{title}">{inside}</span>',
        ]
        position = word.end
    return "".join(parts) + html.escape(text[position:])


def thumbnail(picture: Image.Image) -> str:
    """A small copy of the picture as a data URL."""
    small = picture.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return data_url(small, QUALITY)


def whole_page(judge: Judge, scored: Path, summary: Summary, cards: Sequence[str]) -> Iterator[str]:
    """The lines of the page."""
    name = html.escape(scored.name)
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}: suspicious captions</title>'
    yield f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style>'
    which = "caption" if len(cards) == 1 else f"{len(cards)} captions"
    yield f"<h1>The {which} of {name} that fit{'s its' if len(cards) == 1 else ' their'} picture worst</h1>"
    fraction = summary.mismatches / max(1, summary.rows - summary.without)
    has_unknown = any('class="unknown"' in card for card in cards)
    dotted = "A dotted line is under words that the model does not know. " if has_unknown else ""
    unsure = f"On {summary.unsure:,} the model is unsure. " if summary.unsure else ""
    if summary.unread:
        unsure += f"{counted(summary.unread, 'text')} longer than the model reads: the last words were not judged. "
    yield (
        f"<p>{counted(summary.rows, 'row')}. For the {html.escape(name_model(judge.name, judge.trained_on))}, "
        f"{summary.mismatches:,} of them "
        f"({fraction:.1%}) {'is a mismatch' if summary.mismatches == 1 else 'are mismatches'}: "
        f"the score is below the threshold, {judge.threshold:.2f}. {unsure}"
        "Words that name something and have a score below the threshold are marked. "
        f"{dotted}Marks and corrections show where to look; they prove nothing.</p>"
    )
    yield histogram(summary.counts, judge.threshold)
    yield f"<ol>{''.join(cards)}</ol>"
    if summary.without:
        yield f"<h2>{counted(summary.without, 'row')} without a score</h2><table><tr><th>row<th>image<th>why"
        yield from rows_of(summary.errors)
        yield "</table>"
        if summary.without > len(summary.errors):
            yield f'<p class="soft">The first {len(summary.errors)}; see the column error of {name} for all.</p>'
    yield "</html>"


def rows_of(errors: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Rows of an HTML table."""
    for line in errors:
        yield "<tr>" + "".join(f"<td>{html.escape(cell)}" for cell in line)


def histogram(counts: Integers, threshold: float) -> str:
    """Histogram of the scores as SVG, with the threshold; counts (BINS,) of scores from -1 to 1."""
    used = np.flatnonzero(counts)
    if not len(used):
        return ""
    first, last = int(used[0]), int(used[-1]) + 1
    first, last = min(first, int((threshold + 1) / 2 * BINS)), max(last, int((threshold + 1) / 2 * BINS) + 1)
    width, height, tallest = 640 / (last - first), 120, counts.max()
    bars = "".join(
        f'<rect x="{(i - first) * width + 1:.1f}" y="{height * (1 - counts[i] / tallest):.1f}" width="{width - 2:.1f}" '
        f'height="{height * counts[i] / tallest:.1f}" fill="currentColor" opacity=".45">'
        f"<title>rows: {counts[i]:,}, score {2 * i / BINS - 1:.2f} to {2 * (i + 1) / BINS - 1:.2f}</title></rect>"
        for i in range(first, last)
    )
    at = ((threshold + 1) / 2 * BINS - first) * width
    ends = f"{2 * first / BINS - 1:.2f}", f"{2 * last / BINS - 1:.2f}"
    return (
        f'<svg viewBox="0 0 640 150" role="img" aria-label="histogram of the scores">{bars}'
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{height}" stroke="#d55e00" stroke-width="2"/>'
        f'<text x="0" y="140" font-size="13" fill="currentColor">{ends[0]}</text>'
        f'<text x="640" y="140" font-size="13" text-anchor="end" fill="currentColor">{ends[1]}</text>'
        f'<text x="{at:.1f}" y="140" font-size="13" text-anchor="middle" fill="#d55e00">threshold</text></svg>'
    )
