"""Which swap is drawn how often, so that the text alone does not tell a negative from a caption.

A swap takes a word out of its place in a sentence and puts another in. A judge that never sees a picture looks for
words, and for words in company, that come in more often than they go out. So each of these is a *cell*:

    word        the word itself                              "kayak"
    before      with the word in front of it                 "red kayak"
    after       with the word behind it                      "kayak down"
    governor    with what it depends on in the parse         "paddle _ kayak", "on: sit _", "_ dog" of a colour
    partner     with what depends on it (verbs)              "ride _ bicycle"
    topic       how well it goes with all other words of the caption, in eight steps

and the chance of a swap is a product of one factor for each cell that its new word is in, and one for the old word,
fitted until each cell's inflow equals its outflow over the training captions. With words alone this is Sinkhorn
scaling of a symmetric exchange matrix to the frequencies of the corpus (Sinkhorn 1964); with more cells it is
iterative proportional fitting (Deming and Stephan 1940).

Rare company must be as rare among negatives as among new captions. What is rare is judged for each word from the
*other* captions (leave one out, the idea behind Good-Turing estimates), and all cells that were met fewer than
`OWN_CELL` times share one factor for 0, one for 1, and one for 2 occurrences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from negatives.company import END, START, Text, content_lemmas, governor_and_dependent, neighbours, surface_of
from negatives.edits import needs_repairs
from negatives.text import Slot
from negatives.vocabulary import inflect, pools

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Array = NDArray[Any]

LEAST_COUNT = 3  # a word that the training captions use more rarely is not drawn: <unk> would mark it
SMALL = 1000  # captions; of fewer, every word may be drawn, else little would be left to draw
OWN_CELL = 3  # occurrences in the training captions from which a cell has a factor of its own
TOPIC_STEPS = 8
TOPIC_SHRINKAGE = 1.0  # captions; added to how often two words meet, and to how often they would by chance
FIT_CAPTIONS = 40_000  # of 27 possible swaps each; a swap is 8 numbers: 70 MB
ROUNDS = 100  # of fitting; 60 leave 3 to 11 % more imbalance
# Of one round. A swap's chance is seven factors, all of which are corrected at once at both ends: where two words
# have only each other (upper, lower), 0.3 goes to and fro and leaves 9 % imbalance on Scenes, 0.12 leaves 0.2 %.
STEP = 0.12
SHRINKAGE = 3.0  # swaps; keeps a cell's factor near that of its neighbours as long as little is known of it
CONTEXTS = ("before", "after", "governor", "partner")
KINDS_OF_CELLS = ("word", *CONTEXTS, "topic")


class Table(NamedTuple):
    """What may be drawn for one pool and form."""

    surfaces: tuple[str, ...]
    groups: Ints
    ids: Ints  # of the surfaces, in the statistics


class Option(NamedTuple):
    """One possible swap of a caption."""

    slot: int
    surface: str
    chance: float


class _Swaps(NamedTuple):
    """All possible swaps of some captions, and all their slots, as arrays; a row for each kind of cell."""

    entering: Ints  # (kinds, swaps) cells of the new words
    leaving: Ints  # (kinds, slots) cells of the old ones
    text_of: Ints  # (swaps,)
    slot_of: Ints  # (swaps,)
    slots: Sequence[Slot]
    text_of_slot: Ints  # (slots,)


class Balance:
    """The exchange of words, fitted to training captions."""

    def __init__(self, train: Sequence[Text], progress: Iterable[int] | None = None):
        """progress: an iterable of ROUNDS numbers that shows a bar, if any."""
        self._count(train)
        self.factors: Floats = np.zeros(1)  # logarithms, by cell; 0 is that of no cell
        self.stay: Floats = np.zeros(0)  # logarithms, by cell of a word: how it resists being taken out
        self.tilt: dict[str, float] = {}  # logarithms, by pool
        self.imbalance: dict[str, float] = {}  # share of all swaps by which inflow and outflow differ, by kind of cell
        self._ids: dict[tuple, int] = {("none",): 0}
        self._cache: dict[tuple, Ints] = {}
        self._score_cache: dict[tuple, Floats] = {}
        self._edges: dict[str, Floats] = {}
        self._topic_factors: dict[str, Floats] = {}
        self._fit(_evenly(train, FIT_CAPTIONS), range(ROUNDS) if progress is None else progress)

    # What the training captions hold

    def _count(self, train: Sequence[Text]) -> None:
        self._words: Counter[str] = Counter()
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._surfaces: Counter[str] = Counter()
        self._company: Counter[tuple[str, str, str]] = Counter()
        self._least = LEAST_COUNT if len(train) >= SMALL else 1
        lemmas: Counter[str] = Counter()
        for text in train:
            self._words.update(text.words)
            self._pairs.update(zip((START, *text.words), (*text.words, END)))
            lemmas.update(content_lemmas(text))
            for slot in text.slots:
                surface = surface_of(text, slot)
                self._surfaces[surface] += 1
                for kind, other in zip(CONTEXTS[2:], governor_and_dependent(text, slot)):
                    self._company[kind, other, surface] += 1
        self._tables: dict[tuple[str, str], Table] = {}
        self._surface_ids = {surface: i for i, surface in enumerate(sorted(self._surfaces))}
        self._lemma_ids = {lemma: i for i, lemma in enumerate(sorted(w for w, n in lemmas.items() if n >= 5))}
        # How often a lemma and a surface are in the same caption, and how often they would be by chance.
        met = np.zeros((len(self._lemma_ids), len(self._surface_ids) + 1), dtype=np.float32)
        own = np.zeros(len(self._surface_ids) + 1, dtype=np.float32)
        for text in train:
            inside = [self._lemma_ids[lemma] for lemma in content_lemmas(text) if lemma in self._lemma_ids]
            for surface in {surface_of(text, slot) for slot in text.slots}:
                met[inside, self._surface_ids[surface]] += 1
                own[self._surface_ids[surface]] += 1
        frequency = np.array([lemmas[lemma] for lemma in self._lemma_ids], dtype=np.float32)
        self._met, self._by_chance = met, np.outer(frequency, own) / max(1, len(train))
        self._affinity = np.log((met + TOPIC_SHRINKAGE) / (self._by_chance + TOPIC_SHRINKAGE))

    def table(self, pool: str, form: str) -> Table:
        found = self._tables.get((pool, form))
        if found is None:
            drawn = [
                (surface, number)
                for number, group in enumerate(pools()[pool])
                for surface in dict.fromkeys(inflect(word, form) for word in group.targets)
                # What is never taken out must not be put in, though it may stand elsewhere ("monkey bars").
                if self._surfaces[surface] >= self._least
                and all(self._words[part] >= self._least for part in surface.split(" "))
            ]
            surfaces = tuple(surface for surface, _ in drawn)
            unknown = len(self._surface_ids)
            found = self._tables[pool, form] = Table(
                surfaces,
                np.array([number for _, number in drawn], dtype=np.int64),
                np.array([self._surface_ids.get(surface, unknown) for surface in surfaces], dtype=np.int64),
            )
        return found

    def _met_with(self, kind: str, context: str, surface: str) -> int:
        """How often a word stood in this company in the training captions."""
        if kind == "word":
            return self._surfaces[surface]
        if kind == "before":
            return self._pairs[context, surface.split(" ", 1)[0]]
        if kind == "after":
            return self._pairs[surface.rsplit(" ", 1)[-1], context]
        return self._company[kind, context, surface] if context else -1

    def _cell(self, kind: str, context: str, surface: str, count: int) -> int:
        """Number of a cell; rare ones share theirs."""
        if count < 0:
            return 0  # no such company: a factor of 1
        key = (kind, context, surface) if count >= OWN_CELL else (kind, count)
        return self._ids.setdefault(key, len(self._ids))

    # One slot

    def _allowed(self, text: Text, slot: Slot, table: Table) -> NDArray[np.bool_]:
        """Which surfaces of the table make the caption false."""
        closed = {group for pool, group in text.named if pool == slot.pool} | {slot.group}
        if slot.avoid:
            closed |= _groups_with(slot.pool, slot.avoid)
        allowed = np.array([group not in closed for group in table.groups.tolist()], dtype=bool)
        if slot.repairs and not all(self._words[new.lower()] >= self._least for _, new, _ in slot.repairs):
            allowed &= np.array([not needs_repairs(slot, surface) for surface in table.surfaces], dtype=bool)
        return allowed

    def _in_company(
        self, look_up: Callable[[str, str, Slot, Table], Array], text: Text, slot: Slot, table: Table
    ) -> list[Array]:
        """What is known of every surface of the table at this place, an array for each kind of cell but the topic."""
        around = (*neighbours(text, slot), *governor_and_dependent(text, slot))
        found = {kind: look_up(kind, other, slot, table) for kind, other in zip(CONTEXTS, around)}
        for token, new, _ in slot.repairs:
            if token == slot.last + 1:  # "two dogs" -> "one dog": the next word follows
                repaired = np.array([needs_repairs(slot, surface) for surface in table.surfaces], dtype=bool)
                found["after"] = np.where(repaired, look_up("after", new.lower(), slot, table), found["after"])
        return [look_up("word", "", slot, table), *found.values()]

    def _cells_in(self, kind: str, context: str, slot: Slot, table: Table) -> Ints:
        key = (slot.pool, slot.form, kind, context)
        known = self._cache.get(key)
        if known is None:
            if len(self._cache) > 200_000:  # about 100 MB
                self._cache.clear()
                self._score_cache.clear()
            known = self._cache[key] = np.array(
                [self._cell(kind, context, s, self._met_with(kind, context, s)) for s in table.surfaces], dtype=np.int64
            )
        return known

    def _topic(self, text: Text, slot: Slot, table: Table) -> Floats:
        """How well each surface goes with the other words of the caption: summed log-ratios, 0 by chance."""
        return self._affinity[self._others(text, slot)][:, table.ids].sum(0)

    def _others(self, text: Text, slot: Slot) -> list[int]:
        """In a fixed order: that of a set differs between processes, and with it the last digit of a sum."""
        return sorted(self._lemma_ids[lemma] for lemma in content_lemmas(text, slot) if lemma in self._lemma_ids)

    # The fit

    def _fit(self, texts: Sequence[Text], rounds: Iterable[int]) -> None:
        """Fit the factors until what enters each cell is what leaves it."""
        swaps = self._list_swaps(texts)
        if not swaps.slots:
            return
        size, slots = len(self._ids), swaps.slots
        factors = np.zeros(size)
        for key, cell in self._ids.items():
            if key[0] == "word" and len(key) == 3:
                factors[cell] = np.log(self._surfaces[key[2]])
        names = sorted({slot.pool for slot in slots})
        pool = np.array([names.index(slot.pool) for slot in slots])
        wanted = np.bincount(pool, self._share(slots, swaps.text_of_slot))
        wanted *= len(np.unique(swaps.text_of_slot)) / wanted.sum()
        tilt, stay = np.zeros(len(names)), np.zeros(size)
        starts = np.flatnonzero(np.r_[True, np.diff(swaps.text_of) > 0])
        lengths = np.diff(np.r_[starts, len(swaps.text_of)])
        for _ in rounds:
            score = factors[swaps.entering].sum(0) + (tilt[pool] - stay[swaps.leaving[0]])[swaps.slot_of]
            flow = np.exp(score - np.repeat(np.maximum.reduceat(score, starts), lengths))
            flow /= np.repeat(np.add.reduceat(flow, starts), lengths)
            from_slot = np.bincount(swaps.slot_of, flow, minlength=len(slots))
            self.imbalance = {}
            for kind, into, from_ in zip(KINDS_OF_CELLS, swaps.entering, swaps.leaving):
                enters = np.bincount(into, flow, minlength=size)
                leaves = np.bincount(from_, from_slot, minlength=size)
                self.imbalance[kind] = float(abs(enters - leaves).sum() / (2 * len(starts)))
                gain = STEP * np.log((leaves + SHRINKAGE) / (enters + SHRINKAGE))
                factors += gain
                if kind == "word":
                    stay += gain
            factors[0] = 0.0
            tilt += STEP * np.log((wanted + SHRINKAGE) / (np.bincount(pool, from_slot) + SHRINKAGE))
        self.factors, self.stay, self.tilt = factors, stay, dict(zip(names, tilt.tolist()))
        self._topic_factors = {
            category: factors[[self._ids["topic", category, step] for step in range(TOPIC_STEPS)]]
            for category in self._edges
        }

    def _list_swaps(self, texts: Sequence[Text]) -> _Swaps:
        """Every possible swap of some training captions, and the cells that it moves a word between."""
        text_of: list[Ints] = []  # an array for each slot
        slot_of: list[Ints] = []
        entering: list[Ints] = []
        topics: list[Floats] = []
        leaving: list[list[int]] = []
        own_topic: list[float] = []
        slots: list[Slot] = []
        text_of_slot: list[int] = []
        for number, text in enumerate(texts):
            for slot in text.slots:
                table = self.table(slot.pool, slot.form)
                allowed = self._allowed(text, slot, table)
                if not allowed.any():
                    continue
                text_of.append(np.full(allowed.sum(), number))
                slot_of.append(np.full(allowed.sum(), len(slots)))
                cells = self._in_company(self._cells_in, text, slot, table)
                entering.append(np.array(cells)[:, allowed])
                topics.append(self._topic(text, slot, table)[allowed])
                leaving.append(self._leaving(text, slot))
                own_topic.append(self._own_topic(text, slot))
                slots.append(slot)
                text_of_slot.append(number)
        if not slots:
            nothing = np.zeros(0, dtype=np.int64)
            return _Swaps(nothing, nothing, nothing, nothing, [], nothing)
        # Steps of the topic: each holds an eighth of what the captions themselves say.
        categories = np.array([slot.category for slot in slots])
        for category in sorted(set(categories.tolist())):
            own = np.array(own_topic)[categories == category]
            edges = np.quantile(own, np.arange(1, TOPIC_STEPS) / TOPIC_STEPS)
            if len(np.unique(edges)) < len(edges):  # captions that are all alike: steps could not tell them apart
                continue
            self._edges[category] = edges
            for step in range(TOPIC_STEPS):
                self._ids["topic", category, step] = len(self._ids)
        steps = [self._topic_cells(slot.category, topic) for slot, topic in zip(slots, topics)]
        own_steps = [self._topic_cells(slot.category, np.array([topic]))[0] for slot, topic in zip(slots, own_topic)]
        return _Swaps(
            np.vstack([np.concatenate(entering, axis=1), np.concatenate(steps)]),
            np.vstack([np.array(leaving).T, own_steps]),
            np.concatenate(text_of),
            np.concatenate(slot_of),
            slots,
            np.array(text_of_slot),
        )

    def _share(self, slots: Sequence[Slot], slot_text: Ints) -> Floats:
        """How much of its caption's swap each slot is to get: alike for all, less where one group is nearly all.

        Where 85 % of the animals are dogs and 15 % others, 30 % of the words can change places and leave the
        frequencies, if no other animal ever stays; half of that asks for little enough to be reached.
        """
        totals: Counter[str] = Counter()
        groups: Counter[tuple[str, int]] = Counter()
        for slot in slots:
            totals[slot.pool] += 1
            groups[slot.pool, slot.group] += 1
        largest: dict[str, float] = {}
        for (pool, _), n in groups.items():
            largest[pool] = max(largest.get(pool, 0.0), n / totals[pool])
        within = np.bincount(slot_text)
        return np.array([(1 - largest[slot.pool]) / within[text] for slot, text in zip(slots, slot_text)])

    def _leaving(self, text: Text, slot: Slot) -> list[int]:
        """Cells of the word that stands there, by the company it keeps in all other captions."""
        surface = surface_of(text, slot)
        around = (*neighbours(text, slot), *governor_and_dependent(text, slot))
        return [
            self._cell(kind, other, surface, max(-1, self._met_with(kind, other, surface) - 1))
            if kind in ("word", "before", "after") or other
            else 0
            for kind, other in (("word", ""), *zip(CONTEXTS, around))
        ]

    def _own_topic(self, text: Text, slot: Slot) -> float:
        """How well the word that stands there goes with the rest, by all other captions."""
        others, own = self._others(text, slot), self._surface_ids[surface_of(text, slot)]
        met, by_chance = self._met[others, own] - 1, self._by_chance[others, own]
        return float(np.log((np.maximum(met, 0) + TOPIC_SHRINKAGE) / (by_chance + TOPIC_SHRINKAGE)).sum())

    def _topic_cells(self, category: str, topic: Floats) -> Ints:
        if category not in self._edges:
            return np.zeros(len(topic), dtype=np.int64)
        return self._ids["topic", category, 0] + np.searchsorted(self._edges[category], topic)

    # Use

    def options(self, text: Text) -> list[Option]:
        """All swaps of a caption with their chances, which sum to 1; none if there is no swap."""
        found: list[tuple[int, Table, Ints, Floats]] = []
        for number, slot in enumerate(text.slots):
            table = self.table(slot.pool, slot.form)
            which = np.flatnonzero(self._allowed(text, slot, table))
            if not len(which):
                continue
            score = self._scores(text, slot, table)[which]
            found.append((number, table, which, score))
        if not found:
            return []
        highest = max(score.max() for *_, score in found)
        total = sum(float(np.exp(score - highest).sum()) for *_, score in found)
        return [
            Option(number, table.surfaces[i], float(np.exp(value - highest)) / total)
            for number, table, which, score in found
            for i, value in zip(which, score)
        ]

    def _scores(self, text: Text, slot: Slot, table: Table) -> Floats:
        """Logarithm of the chance of every surface of the table at this place, up to a constant of the caption."""
        surface = surface_of(text, slot)
        own = self._cell("word", "", surface, self._surfaces[surface])
        resistance = self.stay[own] if own < len(self.stay) else 0.0
        score = np.sum(self._in_company(self._score_in, text, slot, table), axis=0)
        score += self.tilt.get(slot.pool, 0.0) - resistance
        if slot.category in self._edges:
            steps = np.searchsorted(self._edges[slot.category], self._topic(text, slot, table))
            score += self._topic_factors[slot.category][steps]
        return score

    def _score_in(self, kind: str, context: str, slot: Slot, table: Table) -> Floats:
        key = (slot.pool, slot.form, kind, context)
        known = self._score_cache.get(key)
        if known is None:
            cells = self._cells_in(kind, context, slot, table)
            # A cell that no caption of the fit came near has no factor.
            near = cells < len(self.factors)
            known = self._score_cache[key] = np.where(near, self.factors[np.where(near, cells, 0)], 0.0)
        return known


@cache
def _groups_with(pool: str, words: frozenset[str]) -> frozenset[int]:
    """The groups of a pool that hold any of some words; there are a few hundred different sets of them."""
    return frozenset(number for number, group in enumerate(pools()[pool]) if not group.words.isdisjoint(words))


def _evenly(texts: Sequence[Text], most: int) -> Sequence[Text]:
    """At most `most` of the texts, evenly over all of them."""
    if len(texts) <= most:
        return texts
    return [texts[i * len(texts) // most] for i in range(most)]
