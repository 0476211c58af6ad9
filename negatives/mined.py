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
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from common.jobs import progress
from Config import NegativesConfig
from negatives.edits import other_words
from negatives.kind import PER_MILLE, Captions, Kind, PlanPart, PlanReader, StringTable, in_groups
from negatives.parsed_caption import CONTENT_TAGS, MODIFIER_CATEGORIES, ParsedCaption, governor_and_dependent
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

    def make(self, captions: Captions, strings: StringTable) -> PlanPart:
        planned: list[list[int]] = [[] for _ in captions.parsed]
        for split in sorted(set(captions.splits)):
            inside = [i for i, own in enumerate(captions.splits) if own == split]
            chances = mine([captions.parsed[i] for i in inside], [captions.owner[i] for i in inside], split)
            for place, i in enumerate(inside):
                own = slice(chances.indptr[place], chances.indptr[place + 1])
                for j, chance in zip(chances.indices[own], chances.data[own]):
                    planned[i] += [inside[j], round(chance * PER_MILLE)]
        return PlanPart({"mined": planned})

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


class Facts(NamedTuple):
    """What one caption claims. A claim answers a question: "what colour is the shirt?" with "red".

    claims: per slot (question, answer, weight), with question = (pool, head), answer = (pool, group). The head is the
    noun that a modifier describes, else "".
    """

    claims: tuple[tuple[tuple[str, str], tuple[str, int], float], ...]
    content: frozenset[str]  # lemmas of content words


class Photograph(NamedTuple):
    """What all captions of a photograph claim together."""

    answered: frozenset[tuple[str, str]]  # questions, as in `Facts`
    named: frozenset[tuple[str, int]]  # (pool, group)
    content: frozenset[str]


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
    facts = [read_facts(caption) for caption in captions]
    photographs = _read_photographs(captions, facts, owner)
    contradict = _Contradictions(facts, [photographs[photo] for photo in owner])

    def can_be_partners(i: int, j: int) -> bool:
        return owner[i] != owner[j] and captions[i].parse.text != captions[j].parse.text and contradict(i, j)

    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    for i, candidates in _candidates(_vectors(facts), split):
        partners = ((j, cosine) for j, cosine in candidates if can_be_partners(i, j))
        for j, cosine in itertools.islice(partners, PARTNERS):
            rows.append(i)
            columns.append(j)
            values.append(cosine)
    chosen = sparse.csr_matrix((values, (rows, columns)), shape=(len(captions), len(captions)))
    return sinkhorn(chosen.maximum(chosen.T).tocsr())  # if one of two captions chooses the other, both are partners


def _read_photographs(
    captions: Sequence[ParsedCaption], facts: Sequence[Facts], owner: Sequence[int]
) -> dict[int, Photograph]:
    captions_of: dict[int, list[int]] = {}
    for number, photo in enumerate(owner):
        captions_of.setdefault(photo, []).append(number)
    return {
        photo: Photograph(
            frozenset(question for n in numbers for question, _, _ in facts[n].claims),
            frozenset().union(*(captions[n].named for n in numbers)),
            frozenset().union(*(facts[n].content for n in numbers)),
        )
        for photo, numbers in captions_of.items()
    }


class _Contradictions:
    """Does each of two captions contradict the other's photograph? Cached, since most are asked twice."""

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


def _candidates(vectors: Matrix, split: str) -> Iterator[tuple[int, Iterable[tuple[int, float]]]]:
    """Yield each caption, in a random order, with its candidates: (caption, cosine), the most similar first."""
    order = np.random.default_rng(0).permutation(vectors.shape[0])
    with progress(None, f"negatives: mine {split}", " captions", len(order)) as bar:
        for block in np.array_split(order, max(1, -(-len(order) // BLOCK))):
            inside = vectors[block].T.tocsr()
            for start in range(0, len(block), 500):
                some = block[start : start + 500]
                for i, near, cosines in zip(some.tolist(), *_most_similar(vectors[some] @ inside)):
                    yield i, zip(block[near].tolist(), cosines.tolist())
                bar.update(len(some))


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


def _vectors(facts: Sequence[Facts]) -> Matrix:
    """(T, lemmas) unit rows: the content lemmas of each caption, weighted by rarity (inverse document frequency)."""
    index: dict[str, int] = {}
    places = [(n, index.setdefault(word, len(index))) for n, fact in enumerate(facts) for word in sorted(fact.content)]
    rows, columns = np.array(places).T if places else np.zeros((2, 0), dtype=int)
    rarity = np.log(len(facts) / np.maximum(1, np.bincount(columns, minlength=len(index)))) + 1
    vectors = sparse.csr_matrix((rarity[columns], (rows, columns)), shape=(len(facts), len(index)))
    norms = np.sqrt(np.asarray(vectors.multiply(vectors).sum(1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(norms, 1e-9)) @ vectors, dtype=np.float32)


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
