"""Why a judge is unsure: a strange picture, too few known words, a score between two limits. And two kinds of notes:
what the judge is weak at, and "did you mean".

A bundle contains this file, so it imports nothing that run.py does not need.
"""

import difflib
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from Tokenizer_lib import split_words

# Words that name nothing visible. Numbers, "left", "under" and "no" are not among them.
FUNCTION_WORDS = frozenset(
    "a an the this that these those some of and or is are was were be been being am has have had do does did its it his"
    " her their there which who whose as to for at by with in on from into it's they he she them him".split()
)
# Fraction of the content words of a text that the model must know. Validation captions below it: 0.3 % (Flickr8k), none
# (drawn scenes). With 0.5 a German sentence of words that are English too ("Baby", "hat", "Ball", "Hand") passes.
KNOWN = 0.6
# What a text can depend on that many models hardly learn: (name of the category, what it is called, its words).
DECIDING = (
    ("number", "numbers", frozenset("2 3 4 5 6 7 8 9 two three four five six seven eight nine ten".split())),
    (
        "relation",
        "relations",
        frozenset("left right above below under underneath beneath over behind beside near between inside".split()),
    ),
    ("negation", "negations", frozenset("no not none nobody nothing never without neither nor cannot".split())),
)
ENOUGH = 0.65  # balanced accuracy; a model below it is weak at a category
SPELLED = 4  # letters of words that are compared: shorter ones are close to too many others
CLOSE = 0.8  # of difflib's ratio: umbrela and umbrella have 0.93, grean and green 0.8
NEAR = 0.1  # ratios that differ by less are about equal


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
    return f"the model knows {known} of {words} content word{'' if words == 1 else 's'}"


def why_strange(unlike: float, trained_on: str) -> str:
    """The reason why a picture is outside; "" if it is not. unlike: see common/world.py; trained_on: "10 scenes"."""
    if not unlike > 1:
        return ""
    kind = trained_on.partition(" ")[2]
    return "the picture is unlike those that the model was trained on" + (f" ({kind})" if kind else "")


def why_risky(score: float, threshold: float, limits: Sequence[Any] | None) -> str:
    """The reason why a score decides nothing at a risk; "" if it does.

    limits: see common.risk.Limits; None without a risk.
    """
    if limits is None:
        return ""
    risk, lower, upper = limits
    limit, verdict = (upper, "match") if score >= threshold else (lower, "mismatch")
    if limit is None:
        return f"at a risk of {risk:g} no score is certain enough for a {verdict}"
    if score >= limit if verdict == "match" else score < limit:
        return ""
    return f"at a risk of {risk:g} a {verdict} needs a score {'from' if verdict == 'match' else 'below'} {limit:.3f}"


def why_weak(words: Sequence[str], scores: Sequence[float], match: bool, accuracies: Mapping[str, float]) -> str:
    """A sentence that warns if the verdict depends on what the model is weak at; "" if it does not.

    scores: of the words. A match depends on all words, a mismatch on the word that fits worst; a negation turns the
    meaning of a text around, so both depend on it. accuracies: balanced accuracy by category, on validation; an
    accuracy that was not measured gives no warning, except that of negations.
    """
    worst = min(range(len(words)), key=lambda i: scores[i])
    found = []
    for category, name, kind in DECIDING:
        is_negation, accuracy = category == "negation", accuracies.get(category)
        decisive = words if match or is_negation else [words[worst]]
        word = next((each for each in decisive if each in kind or (is_negation and each.endswith("n't"))), None)
        if word is None or (accuracy is None and not is_negation) or (accuracy or 0.0) >= ENOUGH:
            continue
        measured = "was not measured" if accuracy is None else f"is {100 * accuracy:.0f} % (50 % is chance)"
        found.append(f'Do not rely on "{word}": the accuracy of this model with {name} {measured}.')
    return " ".join(found)


def close_word(word: str, vocabulary: Iterable[str]) -> str | None:
    """The known word that is meant by an unknown one; None for a short word, or if no known word is close.

    vocabulary: most frequent words first. Of words that are spelled about equally close, it is the most frequent one:
    captions have spelling mistakes too, and "frisbe" means "frisbee", not "frisbie".
    """
    if len(word) < SPELLED:
        return None
    known = [each for each in vocabulary if len(each) >= SPELLED and abs(len(each) - len(word)) <= 2]
    close = difflib.get_close_matches(word, known, 5, CLOSE)
    ratios = [difflib.SequenceMatcher(None, word, each).ratio() for each in close]
    near = [each for each, ratio in zip(close, ratios) if ratio >= ratios[0] - NEAR]
    return min(near, key=known.index, default=None)
