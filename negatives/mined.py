"""Mined negatives: real captions of other photographs that differ in little, and in something that makes them false.

Two captions of different photographs of one split make a pair if they are near each other (cosine of their words,
weighted by rarity) and each contradicts the other's photograph. The pairs are drawn with symmetric chances whose sum
is the same for every caption (Sinkhorn scaling), so each caption is as often a negative as it is a positive: its text
cannot tell which of the two it is.

What a caption contradicts is judged from the words of all captions of the photograph: it names a dog where they name
a cat and no dog, a red shirt where they name a blue one and nothing red.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from common.jobs import progress
from Config import NegativesConfig
from negatives.company import CONTENT_TAGS, HEADED, ParsedCaption, governor_and_dependent
from negatives.edits import other_words
from negatives.kind import PER_MILLE, Captions, Kind, Made, Rows, Strings, in_groups
from negatives.text import Negative

Matrix: TypeAlias = sparse.csr_matrix
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NEIGHBOURS = 8  # pairs kept for each caption, besides those that others keep with it
LOOKED_AT = 60  # nearest captions that are looked at for them
BLOCK = 16_000  # captions that are compared with each other: the work grows with this, not with its square
LEAST_COSINE = 0.25
ENOUGH = 1.0  # contradiction, see WEIGHT
# How surely another word of the same pool is false. Several garments, objects and places are in one picture.
WEIGHT = {
    **{"animal": 1.0, "vehicle": 1.0, "gender": 1.0, "person": 1.0, "colour": 1.0, "number": 1.0, "place": 0.8},
    **{"action": 0.7, "object": 0.6, "food": 0.6, "clothing": 0.5, "relation": 0.5, "weather": 0.7},
}
OTHER_WEIGHT = 0.4
UNNAMED_WEIGHT = 0.3  # a word that no caption of the photograph has


class Mined(Kind):
    """A caption of another photograph of the split, with the chance of the pair."""

    name = "mined"
    schema: ClassVar = {"mined": pa.list_(pa.int32())}  # caption, chance
    rewrites = False

    def make(self, captions: Captions, strings: Strings) -> Made:
        planned: list[list[int]] = [[] for _ in captions.texts]
        for split in sorted(set(captions.splits)):
            inside = [i for i, own in enumerate(captions.splits) if own == split]
            with progress(None, f"negatives: pairs of {split}", " captions", len(inside)) as bar:
                texts, owner = [captions.texts[i] for i in inside], [captions.owner[i] for i in inside]
                chances = mine(texts, owner, bar.update)
            for place, i in enumerate(inside):
                few = slice(chances.indptr[place], chances.indptr[place + 1])
                for j, chance in zip(chances.indices[few], chances.data[few]):
                    planned[i] += [inside[j], round(chance * PER_MILLE)]
        return Made({"mined": planned})

    def draw(
        self, rows: Rows, caption: int, rng: random.Random, settings: NegativesConfig, within: int | None
    ) -> Negative | None:
        draw = rng.randrange(PER_MILLE)
        for other, chance in in_groups(rows.numbers("mined", caption), 2):
            draw -= chance
            if draw < 0:
                text = rows.text(other)
                return Negative(text, "mined", "mined", other_words(rows.text(caption), text))
        return None


class Facts(NamedTuple):
    """What a caption says, for comparison with what others say."""

    claims: tuple[tuple[tuple[str, str], tuple[str, int], float], ...]  # ((pool, head), (pool, group), weight)
    content: frozenset[str]


class Photograph(NamedTuple):
    """What all captions of a photograph say."""

    asked: frozenset[tuple[str, str]]  # (pool, head) of which something is said
    named: frozenset[tuple[str, int]]
    content: frozenset[str]


def read_facts(text: ParsedCaption) -> Facts:
    """The claims of a caption, one for each slot, and the lemmas of its words."""
    claims = []
    for slot in text.slots:
        head = governor_and_dependent(text, slot)[0] if slot.category in HEADED else ""
        claims.append(((slot.pool, head), (slot.pool, slot.group), WEIGHT.get(slot.category, OTHER_WEIGHT)))
    content = frozenset(
        lemma for lemma, tag in zip(text.lemmas, text.parse.tag) if tag in CONTENT_TAGS and tag not in ("CD", "RP")
    )
    return Facts(tuple(claims), content)


def contradiction(facts: Facts, photograph: Photograph) -> float:
    """How surely a caption is false of another photograph; 1 is one claim that excludes what is said there."""
    total = 0.0
    for question, claim, weight in facts.claims:
        if claim not in photograph.named and question in photograph.asked:
            total += weight
    if not total:
        return 0.0
    return total + UNNAMED_WEIGHT * len(facts.content - photograph.content)


def mine(
    texts: Sequence[ParsedCaption], owner: Sequence[int], advance: Callable[[int], object] = lambda n: None
) -> Matrix:
    """(T, T) symmetric chances of the pairs of some captions of one split; rows sum to 1, or to less where few fit.

    owner: photograph of each caption. advance: called with the number of captions that were done since its last call.
    """
    facts = [read_facts(text) for text in texts]
    photographs = _read_photographs(texts, facts, owner)
    vectors = _vectors(facts)
    contradict = _Contradictions(facts, [photographs[photo] for photo in owner])

    def is_pair(i: int, j: int) -> bool:
        return owner[i] != owner[j] and texts[i].parse.text != texts[j].parse.text and contradict(i, j)

    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    order = np.random.default_rng(0).permutation(len(texts))
    for block in np.array_split(order, max(1, -(-len(order) // BLOCK))):
        inside = vectors[block].T.tocsr()
        for start in range(0, len(block), 500):
            some = block[start : start + 500]
            for i, near, cosines in zip(some.tolist(), *_near(vectors[some] @ inside)):
                false_of_i = ((j, cosine) for j, cosine in zip(block[near].tolist(), cosines.tolist()) if is_pair(i, j))
                for j, cosine in itertools.islice(false_of_i, NEIGHBOURS):
                    rows.append(i)
                    columns.append(j)
                    values.append(cosine)
            advance(len(some))
    pairs = sparse.csr_matrix((values, (rows, columns)), shape=(len(texts), len(texts)))
    return sinkhorn(pairs.maximum(pairs.T).tocsr())  # a pair that one of the two keeps is kept by both


def _read_photographs(
    texts: Sequence[ParsedCaption], facts: Sequence[Facts], owner: Sequence[int]
) -> dict[int, Photograph]:
    captions_of: dict[int, list[int]] = {}
    for number, photo in enumerate(owner):
        captions_of.setdefault(photo, []).append(number)
    return {
        photo: Photograph(
            frozenset(question for n in numbers for question, _, _ in facts[n].claims),
            frozenset().union(*(texts[n].named for n in numbers)),
            frozenset().union(*(facts[n].content for n in numbers)),
        )
        for photo, numbers in captions_of.items()
    }


class _Contradictions:
    """Does each of two captions contradict the other's photograph? Answers are kept: each pair comes up about twice."""

    def __init__(self, facts: Sequence[Facts], photographs: Sequence[Photograph]):
        self._facts, self._photographs = facts, photographs
        self._known: dict[tuple[int, int], bool] = {}

    def __call__(self, i: int, j: int) -> bool:
        key = (i, j) if i < j else (j, i)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = (
                contradiction(self._facts[j], self._photographs[i]) >= ENOUGH
                and contradiction(self._facts[i], self._photographs[j]) >= ENOUGH
            )
        return known


def _near(cosines: Matrix) -> tuple[list[Ints], list[Floats]]:
    """Of each row the LOOKED_AT largest entries above LEAST_COSINE, the largest first: columns and values."""
    columns, values = [], []
    for start, end in itertools.pairwise(cosines.indptr):
        data, places = cosines.data[start:end], cosines.indices[start:end]
        enough = data >= LEAST_COSINE
        data, places = data[enough], places[enough]
        first = np.lexsort((places, -data))[:LOOKED_AT]
        columns.append(places[first])
        values.append(data[first])
    return columns, values


def _vectors(facts: Sequence[Facts]) -> Matrix:
    """(T, words) unit rows: words of each caption, weighted by rarity."""
    index: dict[str, int] = {}
    pairs = [(n, index.setdefault(word, len(index))) for n, fact in enumerate(facts) for word in sorted(fact.content)]
    rows, columns = np.array(pairs).T if pairs else np.zeros((2, 0), dtype=int)
    rarity = np.log(len(facts) / np.maximum(1, np.bincount(columns, minlength=len(index)))) + 1
    vectors = sparse.csr_matrix((rarity[columns], (rows, columns)), shape=(len(facts), len(index)))
    norms = np.sqrt(np.asarray(vectors.multiply(vectors).sum(1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(norms, 1e-9)) @ vectors, dtype=np.float32)


def sinkhorn(pairs: Matrix, rounds: int = 100) -> Matrix:
    """Scale a symmetric matrix so that rows (and so columns) sum to 1, or to less where that cannot be.

    Knight and Ruiz 2013 call it the symmetric form of Sinkhorn's. A row of few and much wanted neighbours may keep
    less than 1; what it lacks is no negative, so that the chances stay symmetric.
    """
    scale = np.ones(pairs.shape[0])
    for _ in range(rounds):
        sums = pairs @ scale * scale
        scale = np.where(sums > 0, scale / np.sqrt(np.maximum(sums, 1e-12)), scale)
        scale = np.minimum(scale, 1e3)
    scaled = sparse.diags(scale) @ pairs @ sparse.diags(scale)
    sums = np.asarray(scaled.sum(1)).ravel()
    over = np.maximum(sums, 1.0)
    limit = scaled.tocoo()
    limit.data /= np.maximum(over[limit.row], over[limit.col])
    return limit.tocsr()
