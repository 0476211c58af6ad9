"""The types of hard negatives: a caption with its parse, a place in it that may change, and a false caption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

Edit = tuple[int, int, str, bool]  # characters start..end take the new text; does it make the caption false?


class Parse(NamedTuple):
    """A caption and its parse as parallel sequences, one entry per token that is not white space."""

    text: str
    start: Sequence[int]
    end: Sequence[int]
    lemma: Sequence[str]
    tag: Sequence[str]
    head: Sequence[int]
    dep: Sequence[str]

    @classmethod
    def from_doc(cls, doc: Any) -> Parse:
        """Take from a spaCy Doc what negatives need. A head that is white space becomes the token's own index."""
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
    """One place of a caption that may be swapped: tokens first..last hold `word` in the inflection `form`.

    `repairs` are words elsewhere that must follow if this one changes: (token, new word, is it content?). Pronouns
    are content (they become false too); agreement ("two dogs are" -> "one dog is") is only good English, and is
    made only when the number crosses between one and many. `avoid` are words that must not be drawn here. `echoes`
    are the tokens (first, last) that name the same thing again ("A dog ... The dog"): they take the same replacement.
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
    """A false caption. `changed` are the character spans in `text` of the words that made it false."""

    text: str
    kind: str
    category: str
    changed: tuple[tuple[int, int], ...]
