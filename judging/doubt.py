"""Reasons why a judge is unsure: too few known words. Pictures that are unlike the training's: see common/world.py."""

from collections.abc import Container, Sequence

from common.command_line import counted
from Tokenizer_lib import split_words

# Words that name nothing visible. Numbers, "left", "under" and "no" are not among them.
FUNCTION_WORDS = frozenset(
    "a an the this that these those some of and or is are was were be been being am has have had do does did its it his"
    " her their there which who whose as to for at by with in on from into it's they he she them him".split()
)
# Fraction of the content words of a text that the model must know. Validation captions below it: 0.3 % (Flickr8k), none
# (drawn scenes). With 0.5 a German sentence of words that are English too ("Baby", "hat", "Ball", "Hand") passes.
KNOWN = 0.6


def content_words(words: Sequence[str]) -> list[int]:
    """Indices of the words that name something visible; all indices if no word does."""
    named = [i for i, word in enumerate(words) if word.lower() not in FUNCTION_WORDS]
    return named or list(range(len(words)))


def count_known(text: str, vocabulary: Container[str]) -> tuple[int, int]:
    """How many content words of a text are in the vocabulary, and how many content words it has."""
    words = [word.text for word in split_words(text)]
    content = content_words(words)
    return sum(words[i] in vocabulary for i in content), len(content)


def is_foreign(text: str, vocabulary: Container[str]) -> bool:
    """Whether the model knows too few words of a text: it is in another language, or about other things.

    One unknown word among known ones is never too many.
    """
    known, words = count_known(text, vocabulary)
    return known == 0 or (words - known > 1 and known < KNOWN * words)


def why_foreign(text: str, vocabulary: Container[str]) -> str:
    """The reason why a text is outside; "" if it is not."""
    if not is_foreign(text, vocabulary):
        return ""
    known, words = count_known(text, vocabulary)
    return f"the model knows {known} of {counted(words, 'content word')}"
