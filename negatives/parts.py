"""Parts of a caption that are true on their own: shorter texts from its parse. "A dog", "A dog runs", "a red ball".

A caption stays true if a phrase is left out at its end, unless a negation or "only" turns this round. So each part is
true of every picture that its caption is true of, and it says less. People write such texts, and captions hardly show
them: without them a judge learns that a true text mentions everything.
"""

from __future__ import annotations

from collections.abc import Iterator

from negatives.text import Negative, Parse
from negatives.vocabulary import LIST

# Dependencies of phrases that can be left out at the end of a text.
_LEFT_OUT = frozenset(("prep", "acl", "relcl", "advcl", "advmod", "npadvmod", "conj", "cc", "punct", "appos", "agent"))
_BEFORE_NOUN = frozenset(("det", "amod", "compound", "nummod", "poss", "case", "quantmod", "predet"))
_NOUNS = frozenset(("NN", "NNS"))
_OPEN = frozenset(("CC", "IN", "DT", "TO", "PRP$", "JJ", "WDT", "HYPH", "POS"))  # tags of words that need another one
_END = " ,;:.!?-"


def find_parts(parse: Parse) -> list[tuple[int, int]]:
    """(start, end) offsets of the parts of a caption, in order, without the caption itself; [] if it has a negation."""
    words = [parse.text[start:end].lower() for start, end in zip(parse.start, parse.end)]
    if not LIST["not_monotone"].isdisjoint(words):
        return []
    spans = {*_beginnings(parse), *_noun_phrases(parse)}
    whole = len(parse.text.rstrip(_END))
    return sorted((start, end) for start, end in spans if end - start < whole)


def _beginnings(parse: Parse) -> Iterator[tuple[int, int]]:
    """The text up to a phrase that can be left out with all that follows: "A dog runs | on grass | with a ball"."""
    for cut in range(1, len(parse.head)):
        if any(parse.head[i] >= cut for i in range(cut)):
            continue  # what comes before needs a word that comes after
        outer = [i for i in range(cut, len(parse.head)) if parse.head[i] < cut]
        if not outer or any(parse.dep[i] not in _LEFT_OUT or _needs(parse, parse.head[i], i) for i in outer):
            continue
        start, end = parse.start[0], parse.end[cut - 1]
        left_out = parse.text[end:]
        if parse.tag[cut - 1] in _OPEN or '"' in left_out or not _names_something(parse, cut, len(parse.head)):
            continue
        if _names_something(parse, 0, cut):
            yield start, start + len(parse.text[start:end].rstrip(_END))


def _needs(parse: Parse, head: int, phrase: int) -> bool:
    """Is a word incomplete without this phrase? "A dog is | on a sofa", "one | of the dogs", "next | to a tree"."""
    if parse.dep[phrase] != "prep":
        return False
    own = [parse.dep[i] for i in range(len(parse.head)) if parse.head[i] == head and i < phrase]
    if parse.lemma[head] in ("be", "have"):
        return not {"acomp", "attr", "dobj"}.intersection(own)
    return (
        parse.tag[head] not in (*_NOUNS, "NNP", "VBG", "VBZ", "VBP", "VBN", "VBD", "VB") or parse.lemma[phrase] == "of"
    )


def _noun_phrases(parse: Parse) -> Iterator[tuple[int, int]]:
    """Articles, attributes and a noun: "a black dog", "two men"."""
    for i, tag in enumerate(parse.tag):
        if tag not in _NOUNS or parse.dep[i] == "compound":
            continue
        first = i
        while first and parse.head[first - 1] in range(first, i + 1) and parse.dep[first - 1] in _BEFORE_NOUN:
            first -= 1
        has_article = any(parse.dep[k] in ("det", "nummod", "poss") for k in range(first, i))
        if has_article or (tag == "NNS" and first < i):
            yield parse.start[first], parse.end[i]


def _names_something(parse: Parse, first: int, after: int) -> bool:
    return any(tag in _NOUNS for tag in parse.tag[first:after])


def cut_negative(negative: Negative, caption: str, start: int, end: int) -> Negative | None:
    """A hard negative of a caption as one of its part `caption[start:end]`; None if it changes something outside."""
    before, after = caption[:start], caption[end:]
    text = negative.text
    if not (text.startswith(before) and text.endswith(after) and len(text) > len(before) + len(after)):
        return None
    stop = len(text) - len(after)
    if any(a < start or b > stop for a, b in negative.changed) or text[start:stop] == caption[start:end]:
        return None
    return negative._replace(text=text[start:stop], changed=tuple((a - start, b - start) for a, b in negative.changed))
