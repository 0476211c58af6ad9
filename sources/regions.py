"""Give regions to texts that have none: those of the same text in another file, and those of grounded sentences.

It runs after the items are joined, and before the texts are parsed.
"""

import json
import unicodedata
from collections.abc import Mapping
from difflib import SequenceMatcher

from common.regions import carry, from_lists
from sources.intake import Intake
from sources.items import LeftOut

ALIKE = 0.8  # of the letters agree. In Flickr8k "grey" is "gray" in Flickr30k Entities, and typing errors are corrected


def give_regions(intake: Intake) -> None:
    """Give the regions of repeated texts and of grounded sentences to the stored texts with the same words.

    A text that has regions keeps them. A sentence that fits no text of its photograph is left out.
    """
    _from_repeats(intake)
    for (identity,) in intake.db.execute(
        "SELECT identity FROM photographs WHERE identity IN (SELECT identity FROM grounded) ORDER BY rank"
    ):
        _from_sentences(intake, identity)


def _from_repeats(intake: Intake) -> None:
    repeats = intake.db.execute(
        """SELECT stored.id, stored.text, texts.text, texts.regions FROM texts JOIN texts stored
        ON stored.identity = texts.identity AND stored.digest = texts.digest AND stored.kind = texts.kind
        AND stored.matches = texts.matches AND stored.repeats IS NULL AND stored.regions = '[]'
        WHERE texts.repeats IS NOT NULL AND texts.regions <> '[]' ORDER BY texts.id DESC"""  # the first is written last
    ).fetchall()
    for number, text, other, regions in repeats:
        _give(intake, number, text, other, regions)


def _from_sentences(intake: Intake, identity: str) -> None:
    sentences = intake.db.execute(
        """SELECT id, name, place, text, regions FROM grounded JOIN sources USING (source) WHERE identity = ?
        ORDER BY id""",
        (identity,),
    ).fetchall()
    letters = {number: letters_of(text) for number, _, _, text, _ in sentences}
    regions_of = {number: (text, regions) for number, _, _, text, regions in sentences}
    fitting = set[int]()
    for number, text, regions in intake.db.execute(
        "SELECT id, text, regions FROM texts WHERE identity = ? AND matches AND repeats IS NULL", (identity,)
    ).fetchall():
        own = letters_of(text)
        same = {sentence for sentence, its in letters.items() if its == own}
        fitting |= same
        found = min(same, default=None) or most_alike(own, letters)
        if found is not None:
            fitting.add(found)
            if regions == "[]":
                _give(intake, number, text, *regions_of[found])
    for number, source, place, _, _ in sentences:
        intake.db.execute("UPDATE grounded SET fits = ? WHERE id = ?", (number in fitting, number))
        if number not in fitting:
            reason = "no caption of its photograph has its words"
            intake.leave_out(source, LeftOut("caption", place, reason, captions=1))


def _give(intake: Intake, number: int, text: str, other: str, regions: str) -> None:
    """Store regions (JSON) of another text for the text with this number."""
    carried = carry(from_lists(json.loads(regions)), other, text)
    intake.db.execute("UPDATE texts SET regions = ? WHERE id = ?", (json.dumps(carried), number))


def letters_of(text: str) -> str:
    """Letters and digits of a text in normal form: those of "T-shirts ." and "t - shirts" are the same."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).lower()))


def most_alike(own: str, letters: Mapping[int, str]) -> int | None:
    """The number of the most similar letters, or None if fewer than ALIKE of the letters agree."""
    best, most = None, ALIKE
    for number, its in letters.items():
        matcher = SequenceMatcher(None, its, own, autojunk=False)
        if matcher.real_quick_ratio() >= most and matcher.quick_ratio() >= most and (ratio := matcher.ratio()) >= most:
            best, most = number, ratio
    return best
