"""The tokens of a parsed caption with corrected tags, and questions about them that the rules of negatives share."""

from __future__ import annotations

from functools import lru_cache

from negatives.text import Parse
from negatives.vocabulary import LIST, Entry, inflect, pools, words_of

NOUN_TAGS = frozenset(("NN", "NNS"))
ANY_NOUN = frozenset(("NN", "NNS", "NNP", "NNPS"))  # with proper nouns
OBJECT_TAGS = frozenset(("DT", "PRP$", "PRP", "NN", "NNS", "NNP", "JJ", "CD", "WP", "PDT"))  # can begin an object
_PREMODIFIERS = frozenset(
    ("JJ", "JJR", "JJS", "NN", "CD", "VBN", "VBG", "RB", "PRP$", "DT", "PDT", "POS", "HYPH", "CC")
)
_ADJECTIVES = frozenset(("JJ", "VBN", "VBG", "CD", ",", "HYPH", "CC"))
_DETERMINERS = frozenset(("DT", "CD", "PRP$", "POS"))
_RETAGGED = frozenset(("NNP", "NNPS", "NNS"))
MOST_MENTIONS = 20  # of a noun; a caption of 64 KB that repeats three words would take minutes
AGREEMENT = {"is": "are", "are": "is", "was": "were", "were": "was", "has": "have", "have": "has"}
AGREEMENT |= {"does": "do", "do": "does"}


@lru_cache(maxsize=1)
def plain_verbs() -> frozenset[str]:
    """The infinitives of all verbs of the vocabulary that can be replaced."""
    groups = [group for pool, groups in pools().items() if pool.startswith("action.") for group in groups]
    return frozenset(verb for group in groups for verb in group.sources)


@lru_cache(maxsize=1)
def third_persons() -> frozenset[str]:
    """Third-person forms such as "plays", which small spaCy models sometimes tag as plural nouns."""
    return LIST["third_person"].union(inflect(verb, "VBZ") for verb in plain_verbs())


def other_number(verb: str, lemma: str, form: str) -> str | None:
    """A finite verb in the other number: "is" -> "are", "run" -> "runs"; None if the lemma seems to be wrong.

    form: the wanted tag, VBZ or VBP.
    """
    if (known := AGREEMENT.get(verb)) is not None:
        return known
    return inflect(lemma, form) if verb in (lemma, inflect(lemma, "VBZ")) else None


@lru_cache(maxsize=2)
def _beings(animals: bool) -> frozenset[str]:
    people = LIST["person"] | words_of("person") | words_of("gender")
    return people | words_of("animal") if animals else people


class Caption:
    """The tokens of a caption: lower-case `words`, `tags` (Penn Treebank, some corrected), `heads` and `deps`.

    lenient: accept slots whose swaps a blind judge detects more easily (`find_slots`).
    """

    __slots__ = ("deps", "fixed", "has_joiner", "heads", "lenient", "parse", "size", "tags", "words")

    def __init__(self, parse: Parse) -> None:
        text, tags = parse.text, list(parse.tag)
        lower = text.lower()
        if len(lower) == len(text):  # some letters, such as the Turkish capital I with a dot, become two characters
            words = [lower[start:end] for start, end in zip(parse.start, parse.end)]
        else:
            words = [text[start:end].lower() for start, end in zip(parse.start, parse.end)]
        self.parse, self.words, self.tags = parse, words, tags
        self.heads, self.deps = parse.head, parse.dep
        self.size = len(words)
        self.has_joiner = "-" in text or "/" in text or "'" in text or "’" in text
        if not _RETAGGED.isdisjoint(tags):
            for i, tag in enumerate(tags):
                if tag == "NNS":
                    if words[i] in third_persons() and self._is_verb(i):
                        tags[i] = "VBZ"
                elif tag in _RETAGGED and (text.isupper() or text[parse.start[i] : parse.end[i]].islower()):
                    tags[i] = "NN" if tag == "NNP" else "NNS"  # "the white/NNP house/NNP", "A RED/NNP BUS/NNP"
        self.fixed: set[int] = set()  # tokens of the fixed compounds found so far
        self.lenient = False

    def _is_verb(self, i: int) -> bool:
        """Is a token that is tagged as a plural noun a verb? "A child plays": a singular noun phrase is before it."""
        before = i - 1
        while before >= 0 and self.tags[before] in ("NN", "JJ"):
            before -= 1
        return before >= 0 and self.tags[i - 1] == "NN" and self.words[before] in ("a", "an", "one", "this")

    def word(self, i: int) -> str:
        """The word at token `i`; "" before the first and after the last token."""
        return self.words[i] if 0 <= i < self.size else ""

    def tag(self, i: int) -> str:
        """The tag at token `i`; "" before the first and after the last token."""
        return self.tags[i] if 0 <= i < self.size else ""

    def has(self, name: str) -> bool:
        """Is any word of the caption in this list of `[lists]`?"""
        return not LIST[name].isdisjoint(self.words)

    def is_joined(self, first: int, last: int) -> bool:
        """Is a hyphen or apostrophe attached on either side ("two-story", "multi-coloured")?"""
        if not self.has_joiner:
            return False
        text, start, end = self.parse.text, self.parse.start[first], self.parse.end[last]
        return (start > 0 and text[start - 1] in "-'’/") or text[end : end + 1] in ("-", "/")

    def noun_after(self, last: int) -> int:
        """Index of the noun that the modifier ending at token `last` describes; -1 if there is none."""
        words, tags, size, i = self.words, self.tags, self.size, last + 1
        while i < size and (tags[i] in _ADJECTIVES or words[i] in words_of("colour")):
            if tags[i] == "CC" and words[i - 1] not in words_of("colour"):
                return -1
            i += 1
        if i >= size or tags[i] not in ANY_NOUN:
            return -1
        while i + 1 < size and tags[i + 1] in NOUN_TAGS:
            i += 1
        return i

    def phrase_start(self, first: int) -> int:
        """Index of the last token before the noun phrase of token `first`; -1 if the caption begins with the phrase."""
        i = first - 1
        while i >= 0 and self.tags[i] in _PREMODIFIERS:
            i -= 1
        return i

    def preposition(self, first: int) -> str:
        """The preposition before the noun phrase of token `first`, or ""."""
        i = self.phrase_start(first)
        return self.words[i] if i >= 0 and self.tags[i] in ("IN", "TO", "RP") else ""

    def has_being(self, animals: bool = True) -> bool:
        """Does the caption name a person or, if `animals`, an animal? For a standing vase, "sits" is true as well."""
        return not _beings(animals).isdisjoint(self.words)

    def is_missing(self, first: int) -> bool:
        """Does the caption say that the noun phrase of token `first` is missing ("no hat", "without a hat")?"""
        if "no" not in self.words and "without" not in self.words:
            return False
        i = self.phrase_start(first)
        return "no" in self.words[i + 1 : first] or (i >= 0 and self.words[i] == "without")

    def determiner(self, first: int) -> str:
        """The determiner, number or possessive of the noun phrase of token `first`: "the", "two", "'s"; or ""."""
        i = first - 1
        while i >= 0 and self.tags[i] in _PREMODIFIERS and self.tags[i] != "CC":
            if self.tags[i] in _DETERMINERS:
                return self.words[i]
            i -= 1
        return ""

    def is_definite(self, first: int) -> bool:
        """Is the noun phrase of token `first` definite ("the dog", "his dog", "the man's dog")?"""
        word = self.determiner(first)
        return word in LIST["definite"] or word in ("'s", "’s", "'")

    def repeated_noun(self, entry: Entry, first: int, last: int) -> tuple[tuple[int, int], ...] | None:
        """(first, last) tokens of the later mentions of the noun at `first`..`last`, which must change with it.

        "A dog ... The dog": one dog, mentioned twice. "A black dog and a white dog": two dogs, so no later mention.
        None if the noun cannot be swapped, since other words may refer to it: "a dog ... another dog", "a puppy ... the
        dog"; or if it is mentioned more than MOST_MENTIONS times.
        """
        words, own = self.words, last - len(entry.words) + 1
        if first and words[first - 1] in ("other", "another"):
            return None
        if not entry.kin.isdisjoint(words) and any(
            word in entry.kin and (self.is_definite(i) or words[i - 1] == "one" or words[i - 1] in LIST["contrast"])
            for i, word in enumerate(words)
        ):
            return None
        word = words[last]
        if (count := words.count(word)) == 1:
            return ()
        if count > MOST_MENTIONS:
            return None
        mentions = [
            i for i, other in enumerate(words) if other == word and (i == last or self.tag(i + 1) not in ANY_NOUN)
        ]
        spans = []
        for i in mentions:
            begin = i - (last - own)
            if tuple(words[begin : i + 1]) != entry.words:  # "a hot dog ... the dog"
                return () if self.lenient else None
            if i != last:
                modifiers = last - own + own - first  # "tennis ball ... the tennis ball"
                if modifiers and words[max(0, i - modifiers) : begin] == words[first:own]:
                    begin = i - modifiers
                elif begin > 0 and self.tags[begin - 1] in NOUN_TAGS:
                    return None
                if self.is_joined(begin, i):
                    return None
            spans.append((begin, i))
            if not LIST["contrast"].isdisjoint(words[self.phrase_start(begin) + 1 : begin]):
                return None
        known = [self.is_definite(begin) for begin, _ in spans[1:]]
        if not any(known):
            return ()
        return tuple(spans[1:]) if mentions[0] == last and all(known) else None

    def repeated_adjective(self, first: int, last: int, noun: int) -> tuple[tuple[int, int], ...] | None:
        """(i, i) of later mentions of the adjective with the same noun: "a red car ... the red car".

        None if this mention itself repeats an earlier one.
        """
        words = self.words
        if first != last or noun < 0 or words.count(words[first]) == 1:
            return ()
        again = [
            i
            for i, word in enumerate(words)
            if i != first
            and word == words[first]
            and (found := self.noun_after(i)) >= 0
            and words[found] == words[noun]
        ]
        if any(i < first for i in again):
            return None if self.is_definite(first) else ()
        return tuple((i, i) for i in again if self.is_definite(i))
