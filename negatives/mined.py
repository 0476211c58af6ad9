"""Mined negatives: captions of other photographs that differ in little, but in something that makes them false.

Two captions of different photographs of one split become *partners* if they are similar (cosine of their content words,
weighted by rarity) and each contradicts the photograph of the other. The chances that a caption's partner is drawn are
symmetric and sum to 1 for every caption (Sinkhorn scaling). So each caption occurs as often as a negative as it occurs
as a true caption, and its text carries no information about which of the two it is.

Whether a caption contradicts a photograph is read from all captions of the photograph: it names a dog where they name
a cat and no dog, a red shirt where they name a blue shirt and no red one.
"""

from __future__ import annotations

import itertools
import random
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from common.jobs import progress
from Config import NegativesConfig
from negatives.edits import other_words
from negatives.kind import PER_MILLE, Captions, Kind, PlanPart, PlanReader, Ragged, StringTable, in_groups
from negatives.parsed_caption import CONTENT_TAGS, MODIFIER_CATEGORIES, ParsedCaption, governor_and_dependent
from negatives.stored import Selection
from negatives.text import Negative

Matrix: TypeAlias = sparse.csr_matrix
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

PARTNERS = 8  # that a caption chooses; it also keeps those that choose it
CANDIDATES = 60  # most similar captions that are tested as partners
BLOCK = 16_000  # captions that are compared with each other; the time is then linear in the number of captions
MIN_COSINE = 0.25
ENOUGH = 1.0  # contradiction of two partners at least, see WEIGHT
# How surely a different word of the same pool is false, by category. Several garments, objects or places can be in one
# picture, so a different one is less surely false.
WEIGHT = {
    **{"animal": 1.0, "vehicle": 1.0, "gender": 1.0, "person": 1.0, "colour": 1.0, "number": 1.0, "place": 0.8},
    **{"action": 0.7, "object": 0.6, "food": 0.6, "clothing": 0.5, "relation": 0.5, "weather": 0.7},
}
OTHER_WEIGHT = 0.4
UNNAMED_WEIGHT = 0.3  # of a content word that no caption of the photograph has


class Mined(Kind):
    """A caption of another photograph of the same split: one of the caption's partners."""

    name = "mined"
    schema: ClassVar = {"mined": pa.list_(pa.int32())}  # per partner: its number, chance
    rewrites = False
    cost = 1.5

    def make(self, captions: Captions, strings: StringTable) -> PlanPart:
        splits, size = np.array(captions.splits), len(captions.parsed)
        found = []
        for split in sorted(set(captions.splits)):
            inside = np.flatnonzero(splits == split)
            some = Selection(captions.parsed, inside.tolist())
            chances = mine(some, [captions.owner[i] for i in inside.tolist()], split)
            counts = np.zeros(size, dtype=np.int64)
            counts[inside] = np.diff(chances.indptr)
            found.append((counts, inside[chances.indices], np.rint(chances.data * PER_MILLE)))
        return PlanPart({"mined": _in_lists(found, size)})

    def draw(
        self, plan: PlanReader, caption: int, rng: random.Random, settings: NegativesConfig, within: int | None
    ) -> Negative | None:
        draw = rng.randrange(PER_MILLE)
        for other, chance in in_groups(plan.numbers("mined", caption), 2):
            draw -= chance
            if draw < 0:
                text = plan.text(other)
                return Negative(text, "mined", "mined", other_words(plan.text(caption), text))
        return None


def _in_lists(found: Sequence[tuple[Ints, Ints, Floats]], size: int) -> Ragged:
    """For each caption its partners with their chances.

    found: of each split, which has no caption of another: partners of each of all `size` captions, and in the order of
    the captions the numbers of the partners and their chances.
    """
    total = sum((counts for counts, _, _ in found), np.zeros(size, dtype=np.int64))
    ends = np.cumsum(total)
    values = np.empty((ends[-1] if size else 0, 2), dtype=np.int32)
    for counts, partners, chances in found:
        start = np.repeat(ends - total - (np.cumsum(counts) - counts), counts)
        at = start + np.arange(len(start))
        values[at, 0], values[at, 1] = partners, chances
    lists = Ragged()
    lists.values.frombytes(values.tobytes())
    lists.ends.frombytes((2 * ends).astype(np.int64).tobytes())
    return lists


class Facts(NamedTuple):
    """What one caption claims. A claim answers a question: "what colour is the shirt?" with "red".

    claims: per slot (question, answer, weight), with question = (pool, head), answer = (pool, group). The head is the
    noun that a modifier describes, else "".
    """

    claims: tuple[tuple[tuple[str, str], tuple[str, int], float], ...]
    content: frozenset[Any]  # lemmas of content words, or their numbers


class Photograph(NamedTuple):
    """What all captions of a photograph claim together."""

    answered: frozenset[tuple[str, str]]  # questions, as in `Facts`
    named: frozenset[tuple[str, int]]  # (pool, group)
    content: frozenset[Any]  # as in `Facts`


def read_facts(caption: ParsedCaption) -> Facts:
    """The claims of a caption, one for each slot, and its content lemmas."""
    claims = []
    for slot in caption.slots:
        head = governor_and_dependent(caption, slot)[0] if slot.category in MODIFIER_CATEGORIES else ""
        claims.append(((slot.pool, head), (slot.pool, slot.group), WEIGHT.get(slot.category, OTHER_WEIGHT)))
    content = frozenset(
        lemma
        for lemma, tag in zip(caption.lemmas, caption.parse.tag)
        if tag in CONTENT_TAGS and tag not in ("CD", "RP")
    )
    return Facts(tuple(claims), content)


def contradiction(facts: Facts, photograph: Photograph) -> float:
    """How surely a caption is false of a photograph: 0 if nothing contradicts, 1 for one certain contradiction.

    It sums the weights of the caption's claims that answer a question differently than the photograph's captions, and
    `UNNAMED_WEIGHT` for each of its words that they lack.
    """
    total = 0.0
    for question, answer, weight in facts.claims:
        if answer not in photograph.named and question in photograph.answered:
            total += weight
    if not total:
        return 0.0
    return total + UNNAMED_WEIGHT * len(facts.content - photograph.content)


def mine(captions: Sequence[ParsedCaption], owner: Sequence[int], split: str = "") -> Matrix:
    """(T, T) symmetric chances that caption j is drawn for caption i. Rows sum to 1, or to less with few partners.

    captions: T captions of one split. owner: photograph of each. split: its name, for the progress bar.
    """
    known = _Known(captions, owner)
    rows, columns, values = array("i"), array("i"), array("d")
    for block, near in _candidates(known.vectors(), split):
        contradict = _Contradictions(known, block)
        for i, candidates in near:
            partners = ((j, cosine) for j, cosine in candidates if contradict(i, j))
            for j, cosine in itertools.islice(partners, PARTNERS):
                rows.append(i)
                columns.append(j)
                values.append(cosine)
    ends = np.frombuffer(rows, dtype=np.int32), np.frombuffer(columns, dtype=np.int32)
    chosen = sparse.csr_matrix((np.frombuffer(values), ends), shape=(len(owner), len(owner)))
    return sinkhorn(chosen.maximum(chosen.T).tocsr())  # if one of two captions chooses the other, both are partners


class _Known:
    """The facts of all captions, with numbers instead of words, in arrays."""

    def __init__(self, captions: Sequence[ParsedCaption], owner: Sequence[int]):
        self.owner = owner
        self._lemmas: dict[str, int] = {}
        self._claims: dict[tuple, int] = {}  # each different claim once
        groups: dict[tuple[str, int], int] = {}
        self._content, self._claimed, self._named = Ragged(), Ragged(), Ragged()
        texts = []
        parts: list[pa.Array] = []
        for caption in captions:
            claims, content = read_facts(caption)
            self._content.append(self._lemmas.setdefault(word, len(self._lemmas)) for word in sorted(content))
            self._claimed.append(self._claims.setdefault(claim, len(self._claims)) for claim in claims)
            self._named.append(groups.setdefault(group, len(groups)) for group in caption.named)
            texts.append(caption.parse.text)
            if len(texts) == 10_000:
                parts.append(pa.array(texts, pa.string()))
                texts.clear()
        self._texts = pa.chunked_array([*parts, pa.array(texts, pa.string())])
        self._claim, self._groups = list(self._claims), list(groups)
        self._captions_of: dict[int, list[int]] = {}
        for number, photo in enumerate(owner):
            self._captions_of.setdefault(photo, []).append(number)

    def vectors(self) -> Matrix:
        """(T, lemmas) unit rows: content lemmas of each caption, weighted by rarity (inverse document frequency)."""
        size = len(self._content)
        ends: Ints = np.frombuffer(self._content.ends, dtype=np.int64)
        rows = np.repeat(np.arange(size), ends[1:] - ends[:-1])
        columns = np.frombuffer(self._content.values, dtype=np.int32)
        rarity = np.log(size / np.maximum(1, np.bincount(columns, minlength=len(self._lemmas)))) + 1
        vectors = sparse.csr_matrix((rarity[columns], (rows, columns)), shape=(size, len(self._lemmas)))
        norms = np.sqrt(np.asarray(vectors.multiply(vectors).sum(1)).ravel())
        return sparse.csr_matrix(sparse.diags(1 / np.maximum(norms, 1e-9)) @ vectors, dtype=np.float32)

    def facts(self, caption: int) -> Facts:
        claims = tuple(self._claim[claim] for claim in self._claimed[caption])
        return Facts(claims, frozenset(self._content[caption]))

    def photograph(self, photo: int) -> Photograph:
        """What all captions of a photograph claim together."""
        own = [(self.facts(n), [self._groups[group] for group in self._named[n]]) for n in self._captions_of[photo]]
        return Photograph(
            frozenset(question for facts, _ in own for question, _, _ in facts.claims),
            frozenset().union(*(named for _, named in own)),
            frozenset().union(*(facts.content for facts, _ in own)),
        )

    def texts(self, captions: Ints) -> list[str]:
        return self._texts.take(pa.array(captions)).to_pylist()


class _Contradictions:
    """Does each of two captions of a block contradict the other's photograph? Cached, since most are asked twice.

    Two captions of one photograph, or with one text, do not.
    """

    def __init__(self, known: _Known, block: Ints):
        self._owner, captions = known.owner, block.tolist()
        self._facts = {i: known.facts(i) for i in captions}
        self._photographs = {photo: known.photograph(photo) for photo in {known.owner[i] for i in captions}}
        self._texts = dict(zip(captions, known.texts(block)))
        self._known: dict[tuple[int, int], bool] = {}

    def __call__(self, i: int, j: int) -> bool:
        if self._owner[i] == self._owner[j] or self._texts[i] == self._texts[j]:
            return False
        key = (i, j) if i < j else (j, i)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = (
                contradiction(self._facts[j], self._photographs[self._owner[i]]) >= ENOUGH
                and contradiction(self._facts[i], self._photographs[self._owner[j]]) >= ENOUGH
            )
        return known


def _candidates(
    vectors: Matrix, split: str
) -> Iterator[tuple[Ints, Iterator[tuple[int, Iterable[tuple[int, float]]]]]]:
    """Yield blocks of captions in a random order; and for each caption its candidates: (caption, cosine).

    The most similar candidate is the first. All are of the block.
    """
    order = np.random.default_rng(0).permutation(vectors.shape[0])
    with progress(None, f"negatives: mine {split}", " captions", len(order)) as bar:

        def near(block: Ints) -> Iterator[tuple[int, Iterable[tuple[int, float]]]]:
            inside = vectors[block].T.tocsr()
            for start in range(0, len(block), 500):
                some = block[start : start + 500]
                for i, places, cosines in zip(some.tolist(), *_most_similar(vectors[some] @ inside)):
                    yield i, zip(block[places].tolist(), cosines.tolist())
                bar.update(len(some))

        for block in np.array_split(order, max(1, -(-len(order) // BLOCK))):
            yield block, near(block)


def _most_similar(cosines: Matrix) -> tuple[list[Ints], list[Floats]]:
    """Columns and values of the CANDIDATES largest entries >= MIN_COSINE of each row, the largest first."""
    columns, values = [], []
    for start, end in itertools.pairwise(cosines.indptr):
        data, places = cosines.data[start:end], cosines.indices[start:end]
        enough = data >= MIN_COSINE
        data, places = data[enough], places[enough]
        first = np.lexsort((places, -data))[:CANDIDATES]
        columns.append(places[first])
        values.append(data[first])
    return columns, values


def sinkhorn(weights: Matrix, rounds: int = 100) -> Matrix:
    """Scale a symmetric matrix so that each row, and so each column, sums to 1, or to less where 1 is impossible.

    The symmetric form of Sinkhorn's scaling (Knight and Ruiz 2013). A row whose few partners are in demand elsewhere
    can sum to less than 1; the rest is the chance that no negative is drawn, so the chances stay symmetric.
    """
    scale = np.ones(weights.shape[0])
    for _ in range(rounds):
        sums = weights @ scale * scale
        scale = np.where(sums > 0, scale / np.sqrt(np.maximum(sums, 1e-12)), scale)
        scale = np.minimum(scale, 1e3)
    scaled = sparse.diags(scale) @ weights @ sparse.diags(scale)
    sums = np.asarray(scaled.sum(1)).ravel()
    over = np.maximum(sums, 1.0)
    limit = scaled.tocoo()
    limit.data /= np.maximum(over[limit.row], over[limit.col])
    return limit.tocsr()
