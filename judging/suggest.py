"""Corrections: for the words of a text that fit worst, words of the same category that fit the picture better.

The candidates come from the vocabulary of the hard negatives (`negatives.vocabulary`). As there, the parse decides the
sense of a word: "left" can be replaced by "right" in "on the left side", but not in "she left".
"""

import threading
from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from Config import require
from evaluation import scoring
from judging.inputs import Picture, check_text
from judging.judge import Judge
from negatives.edits import find_spots, known_words, needs_repairs, splice, write_edits
from negatives.slots import find_slots
from negatives.text import Negative, Parse, Slot
from negatives.vocabulary import inflect, pools
from Tokenizer_lib import split_words

_PARSING = threading.Lock()  # a spaCy pipeline is not thread-safe: all threads share its memory zone
PLACES = 3  # how many words of a text are corrected: those that fit worst


class Suggestion(NamedTuple):
    """One correction of a text."""

    old: str
    new: str
    start: int  # the characters of the old word in the text
    end: int
    category: str  # of both words, for example "colour"
    before: float  # verdict score of the text
    after: float  # verdict score of the corrected text
    text: str  # the corrected text; number, articles and pronouns agree with the new word


class Candidate(NamedTuple):
    """The text with one slot replaced."""

    slot: Slot
    surface: str  # the new word, inflected as the old one
    negative: Negative  # the corrected text


def suggest(judge: Judge, picture: Picture, text: str, count: int = 3, places: int = PLACES) -> list[Suggestion]:
    """At most `count` corrections that score higher than the text, the best first.

    Each replaces one of the `places` words that fit worst. PictureError or TextError if the picture or the text cannot
    be judged, ModuleNotFoundError or OSError without spaCy and its pipeline. The first call takes a second longer,
    since it imports spaCy.

    >>> suggest(judge, "picture.jpg", "A red ball.")[0].text
    """
    check_text(text)
    require(count >= 0 and places >= 0, f"count {count}, places {places}: must not be negative")
    # The model reads no further; twice as many words leave the parse of the last ones what follows them.
    further = split_words(text)[2 * judge.loaded.config.data.max_words :]
    end = further[0].start if further else len(text)
    begin, rest = text[:end], text[end:]
    vectors, (parse,) = judge.encode_pictures([picture], [None]), parse_texts([begin])
    ranked = rank(judge, vectors, begin, parse, places)
    found = [
        describe(begin, parse, candidate, ranked.before, after)
        for candidate, after in zip(ranked.candidates[:count], ranked.after)
        if after > ranked.before
    ]
    return [suggestion._replace(text=suggestion.text + rest) for suggestion in found]


class Ranked(NamedTuple):
    """All candidates for a text, the best first."""

    candidates: list[Candidate]
    before: float  # verdict score of the text
    after: list[float]  # verdict scores of the candidates


def rank(judge: Judge, picture: Tensor, text: str, parse: Parse, places: int) -> Ranked:
    """Candidates ordered by the score of the corrected text; picture: its vectors (1, V, D).

    Measured on 300 swaps of drawn scenes: ordered by the score of the corrected text, the first candidate is the true
    word in 75 %; by the lowest word score of that text in 72 %; by the score of the new word in 62 %.
    """
    slots = worst_slots(judge, picture, text, parse, places)
    found = list(candidates(parse, slots, judge.loaded.tokenizer.index))
    texts = [text, *(candidate.negative.text for candidate in found)]
    scores = scoring.score_pairs(judge.loaded, picture, texts, np.zeros(len(texts), dtype=np.int64))
    order = np.argsort(-scores[1:], kind="stable")
    return Ranked([found[i] for i in order], float(scores[0]), scores[1:][order].tolist())


def parse_texts(texts: Sequence[str]) -> list[Parse]:
    """spaCy's parses of some texts."""
    from sources.parser import find_pipeline, load_parser  # spaCy takes a second to import

    with _PARSING:
        return load_parser(find_pipeline()).parse(texts)


def worst_slots(judge: Judge, picture: Tensor, text: str, parse: Parse, places: int) -> list[Slot]:
    """The slots of the text whose words fit worst, at most `places`, the worst first."""
    words = split_words(text)[: judge.loaded.config.data.max_words]
    _, (fits,) = scoring.score_words(judge.loaded, picture, [text], np.zeros(1, dtype=np.int64))
    worst = []
    for slot in find_slots(parse):
        start, end = parse.start[slot.first], parse.end[slot.last]
        inside = [score for word, score in zip(words, fits) if word.start < end and start < word.end]
        if inside:  # else the slot is beyond the words that the model reads
            worst.append((min(inside), slot))
    return [slot for _, slot in sorted(worst, key=lambda pair: pair[0])[:places]]


def candidates(parse: Parse, slots: Sequence[Slot], known: Container[str]) -> Iterator[Candidate]:
    """Every text that results from replacing one of these slots by a known word of the same category.

    known: the model's vocabulary. As in hard negatives, synonyms and words that can be true at the same time are left
    out.
    """
    own = known_words(parse)
    for slot in slots:
        for number, group in enumerate(pools()[slot.pool]):
            if number == slot.group or not group.words.isdisjoint(own | slot.avoid):
                continue
            for surface in {inflect(word, slot.form): None for word in group.targets}:
                if all(word.text in known for word in split_words(surface)):
                    edits = write_edits(parse.text, find_spots(parse, slot), surface, needs_repairs(slot, surface))
                    yield Candidate(slot, surface, splice(parse.text, edits, "suggestion", slot.category))


def describe(text: str, parse: Parse, candidate: Candidate, before: float, after: float) -> Suggestion:
    """The candidate as a correction of the text, with the scores before and after."""
    start, end = parse.start[candidate.slot.first], parse.end[candidate.slot.last]
    new, category = candidate.surface, candidate.slot.category
    return Suggestion(text[start:end], new, start, end, category, before, after, candidate.negative.text)
