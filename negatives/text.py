"""The data types of hard negatives: the parse of a caption, a place in it that can change (`Slot`), a `Negative`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

Edit = tuple[int, int, str, bool]  # (start, end, new text, does it make the caption false?); offsets in the caption


class Parse(NamedTuple):
    """A caption and its spaCy parse as parallel sequences, one entry per token; white-space tokens are left out."""

    text: str
    start: Sequence[int]  # offset of the first character of each token
    end: Sequence[int]  # offset after its last character
    lemma: Sequence[str]
    tag: Sequence[str]  # Penn Treebank
    head: Sequence[int]  # index of the head token; a root is its own head
    dep: Sequence[str]

    @classmethod
    def from_doc(cls, doc: Any) -> Parse:
        """The parse in a spaCy Doc. A token whose head is white space becomes its own head."""
        tokens = [token for token in doc if not token.is_space]
        index = {token.i: i for i, token in enumerate(tokens)}
        return cls(
            text=doc.text,
            start=tuple(token.idx for token in tokens),
            end=tuple(token.idx + len(token) for token in tokens),
            lemma=tuple(token.lemma_ for token in tokens),
            tag=tuple(token.tag_ for token in tokens),
            head=tuple(index.get(token.head.i, i) for i, token in enumerate(tokens)),
            dep=tuple(token.dep_ for token in tokens),
        )


class Slot(NamedTuple):
    """One place of a caption that can be swapped: tokens first..last hold `word`, inflected to `form`.

    category, pool, group: where the vocabulary has the word. A replacement comes from another group of the pool.
    form: Penn Treebank tag of the inflection ("NNS", "VBG"); "" for words that have one form.
    repairs: tokens elsewhere that change with this one, as (token, new word, does it make the caption false?).
        "A man and his dog" -> "a woman and her dog": the pronoun becomes false too. "Two dogs are" -> "one dog is":
        noun and verb only agree; these are changed only if the number goes from one to many or back.
    avoid: words that must not be drawn here.
    echoes: (first, last) tokens of later mentions of the same thing ("A dog ... The dog"); they get the same
        replacement.
    """

    category: str
    first: int
    last: int
    word: str
    form: str
    pool: str
    group: int
    repairs: tuple[tuple[int, str, bool], ...] = ()
    avoid: frozenset[str] = frozenset()
    echoes: tuple[tuple[int, int], ...] = ()


class Negative(NamedTuple):
    """A false caption. `changed` holds (start, end) offsets in `text` of the words that make it false."""

    text: str
    kind: str
    category: str
    changed: tuple[tuple[int, int], ...]
