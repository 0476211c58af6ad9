"""Which swap is drawn how often, so that the text alone does not tell a negative from a caption.

A swap takes a word out of its place in a sentence and puts another in. A judge that never sees a picture looks for
words, and for words in company, that come in more often than they go out. So each of these is a *cell*:

    word        the word itself                              "kayak"
    before      with the word in front of it                 "red kayak"
    after       with the word behind it                      "kayak down"
    governor    with what it depends on in the parse         "paddle _ kayak", "on: sit _", "_ dog" for a colour
    dependent   with what depends on it (verbs)              "ride _ bicycle"
    topic       how well it goes with all other words of the caption, in eight steps

The chance of a swap is a product of factors: one for each cell that the new word enters, one for the old word, and one
for the pool of words. They are fitted until each cell's inflow equals its outflow over the training captions. With
words alone this is Sinkhorn scaling of a symmetric exchange matrix to the frequencies of the corpus (Sinkhorn 1964);
with more cells it is iterative proportional fitting (Deming and Stephan 1940).

Rare company must be as rare among negatives as among new captions. How rare the company of a caption's own word is, is
judged from the *other* captions (leave one out, the idea behind Good-Turing estimates). All cells with fewer than
`OWN_CELL` occurrences share one factor for 0, one for 1, and one for 2 occurrences.

`Counts` and `Topics` hold what the training captions say; `Balance` numbers the cells, fits their factors, and gives
the chances of a caption's swaps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from negatives.company import END, START, ParsedCaption, content_lemmas, governor_and_dependent, neighbours, surface_of
from negatives.edits import needs_repairs
from negatives.text import Slot
from negatives.vocabulary import inflect, pools

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LEAST_COUNT = 3  # a word that the training captions use more rarely is not drawn: <unk> would mark it
SMALL = 1000  # captions; of fewer, every word may be drawn, else little would be left to draw
OWN_CELL = 3  # occurrences in the training captions from which a cell has a factor of its own
NO_CELL = 0  # where a word has no company of a kind, and for cells that the fit did not see; its factor is 1
LEAST_LEMMA = 5  # training captions; lemmas of fewer are left out of the topic
TOPIC_STEPS = 8
TOPIC_SHRINKAGE = 1.0  # captions; added to how often two words meet, and to how often they would by chance
FIT_CAPTIONS = 40_000  # of 27 possible swaps each; a swap is 8 numbers: 70 MB
ROUNDS = 100  # of fitting; 60 leave 3 to 11 % more imbalance
# Of one round. A swap's chance is seven factors, all of which are corrected at once at both ends: where two words
# have only each other (upper, lower), 0.3 goes to and fro and leaves 9 % imbalance on Scenes, 0.12 leaves 0.2 %.
STEP = 0.12
SHRINKAGE = 3.0  # swaps; keeps a cell's factor near that of its neighbours as long as little is known of it
CONTEXTS = ("before", "after", "governor", "dependent")
KINDS_OF_CELLS = ("word", *CONTEXTS, "topic")


class Table(NamedTuple):
    """What may be drawn for one pool and form: n words, as they are written."""

    surfaces: tuple[str, ...]
    groups: Ints  # (n,) in the pool
    topics: Ints  # (n,) their columns in `Topics`


class Option(NamedTuple):
    """One possible swap of a caption."""

    slot: int
    surface: str
    chance: float


class Counts:
    """How often words, and words in company, stand in the training captions."""

    def __init__(self, train: Sequence[ParsedCaption]):
        self.words: Counter[str] = Counter()
        self.surfaces: Counter[str] = Counter()  # words of slots; some are several words ("teddy bear")
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._company: Counter[tuple[str, str, str]] = Counter()
        self.least = LEAST_COUNT if len(train) >= SMALL else 1
        for text in train:
            self.words.update(text.words)
            self._pairs.update(zip((START, *text.words), (*text.words, END)))
            for slot in text.slots:
                surface = surface_of(text, slot)
                self.surfaces[surface] += 1
                for kind, other in zip(CONTEXTS[2:], governor_and_dependent(text, slot)):
                    self._company[kind, other, surface] += 1

    def are_common(self, words: Iterable[str]) -> bool:
        return all(self.words[word] >= self.least for word in words)

    def may_enter(self, surface: str) -> bool:
        """May it be drawn? What is never taken out must not be put in, though it stands elsewhere ("monkey bars")."""
        return self.surfaces[surface] >= self.least and self.are_common(surface.split(" "))

    def of(self, kind: str, context: str, surface: str) -> int:
        """Occurrences of a word in this company; -1 where there is no company of this kind."""
        if kind == "word":
            return self.surfaces[surface]
        if kind == "before":
            return self._pairs[context, surface.split(" ", 1)[0]]
        if kind == "after":
            return self._pairs[surface.rsplit(" ", 1)[-1], context]
        return self._company[kind, context, surface] if context else -1


class Topics:
    """How well a word goes with all other words of a caption: a sum of log-ratios over them, 0 by chance.

    Each is the logarithm of how many training captions hold both words, against how many would by chance.
    """

    def __init__(self, train: Sequence[ParsedCaption], surfaces: Iterable[str]):
        lemmas: Counter[str] = Counter()
        for text in train:
            lemmas.update(content_lemmas(text))
        self._columns = {surface: i for i, surface in enumerate(sorted(surfaces))}
        self._rows = {lemma: i for i, lemma in enumerate(sorted(w for w, n in lemmas.items() if n >= LEAST_LEMMA))}
        met = np.zeros((len(self._rows), len(self._columns) + 1), dtype=np.float32)  # captions; the last is for others
        own = np.zeros(len(self._columns) + 1, dtype=np.float32)
        for text in train:
            inside = [self._rows[lemma] for lemma in content_lemmas(text) if lemma in self._rows]
            for surface in {surface_of(text, slot) for slot in text.slots}:
                met[inside, self._columns[surface]] += 1
                own[self._columns[surface]] += 1
        frequency = np.array([lemmas[lemma] for lemma in self._rows], dtype=np.float32)
        self._met, self._by_chance = met, np.outer(frequency, own) / max(1, len(train))
        self._affinity = np.log((met + TOPIC_SHRINKAGE) / (self._by_chance + TOPIC_SHRINKAGE))

    def column(self, surface: str) -> int:
        return self._columns.get(surface, len(self._columns))

    def of_table(self, text: ParsedCaption, slot: Slot, table: Table) -> Floats:
        """(n,) of each word of the table in the place of the slot's."""
        return self._affinity[self._others(text, slot)][:, table.topics].sum(0)

    def of_own(self, text: ParsedCaption, slot: Slot) -> float:
        """Of the word that stands there in a training caption, by all other captions."""
        others, own = self._others(text, slot), self._columns[surface_of(text, slot)]
        met, by_chance = self._met[others, own] - 1, self._by_chance[others, own]
        return float(np.log((np.maximum(met, 0) + TOPIC_SHRINKAGE) / (by_chance + TOPIC_SHRINKAGE)).sum())

    def _others(self, text: ParsedCaption, slot: Slot) -> list[int]:
        """In a fixed order: that of a set differs between processes, and with it the last digit of a sum."""
        return sorted(self._rows[lemma] for lemma in content_lemmas(text, slot) if lemma in self._rows)


class _Swaps(NamedTuple):
    """All K possible swaps of some captions, and all their S slots; a row for each of the 6 kinds of cells."""

    entering: Ints  # (6, K) cells of the new words
    leaving: Ints  # (6, S) cells of the old ones
    text_of: Ints  # (K,)
    slot_of: Ints  # (K,)
    slots: Sequence[Slot]
    text_of_slot: Ints  # (S,)


class Balance:
    """The chances of swaps, fitted to training captions. All factors are logarithms."""

    def __init__(self, train: Sequence[ParsedCaption], progress: Iterable[int] | None = None):
        """progress: an iterable of ROUNDS numbers that shows a bar, if any."""
        self.counts = Counts(train)
        self._topics = Topics(train, self.counts.surfaces)
        self._tables: dict[tuple[str, str], Table] = {}
        self._numbers: dict[tuple, int] = {("none",): NO_CELL}  # of all cells that the captions of the fit come near
        self._cells: dict[tuple, Ints] = {}  # numbers of the cells of a table's words in some company
        self._steps: dict[str, Floats] = {}  # (7,) where the steps of the topic meet, by category
        self._is_fitted = False
        self._factor_in: Floats = np.zeros(1)  # by cell that the new word enters
        self._factor_out: Floats = np.zeros(1)  # by cell of the old word alone
        self._factor_of_pool: dict[str, float] = {}
        self.imbalance: dict[str, float] = {}  # share of all swaps by which inflow and outflow differ, by kind of cell
        self._fit(_evenly(train, FIT_CAPTIONS), range(ROUNDS) if progress is None else progress)
        self._is_fitted = True

    def options(self, text: ParsedCaption) -> list[Option]:
        """All swaps of a caption with their chances, which sum to 1; none if there is no swap."""
        found: list[tuple[int, Table, Ints, Floats]] = []
        for number, slot in enumerate(text.slots):
            table = self._table(slot)
            which = np.flatnonzero(self._allowed(text, slot, table))
            if len(which):
                found.append((number, table, which, self._scores(text, slot, table)[which]))
        if not found:
            return []
        highest = max(score.max() for *_, score in found)
        total = sum(float(np.exp(score - highest).sum()) for *_, score in found)
        return [
            Option(number, table.surfaces[i], float(np.exp(value - highest)) / total)
            for number, table, which, score in found
            for i, value in zip(which, score)
        ]

    def _scores(self, text: ParsedCaption, slot: Slot, table: Table) -> Floats:
        """(n,) logarithms of the chances of the table's words at this place, up to a constant of the caption."""
        own = self._cell("word", "", surface := surface_of(text, slot), self.counts.surfaces[surface])
        score = self._factor_in[self._cells_at(text, slot, table)].sum(0)
        score += self._factor_of_pool.get(slot.pool, 0.0) - self._factor_out[own]
        if slot.category in self._steps:
            score += self._factor_in[self._topic_cells(slot.category, self._topics.of_table(text, slot, table))]
        return score

    # Words and cells

    def _table(self, slot: Slot) -> Table:
        found = self._tables.get((slot.pool, slot.form))
        if found is None:
            drawn = [
                (surface, number)
                for number, group in enumerate(pools()[slot.pool])
                for surface in dict.fromkeys(inflect(word, slot.form) for word in group.targets)
                if self.counts.may_enter(surface)
            ]
            found = self._tables[slot.pool, slot.form] = Table(
                tuple(surface for surface, _ in drawn),
                np.array([number for _, number in drawn], dtype=np.int64),
                np.array([self._topics.column(surface) for surface, _ in drawn], dtype=np.int64),
            )
        return found

    def _allowed(self, text: ParsedCaption, slot: Slot, table: Table) -> Bools:
        """(n,) which words of the table make the caption false, and good English."""
        closed = {group for pool, group in text.named if pool == slot.pool} | {slot.group}
        if slot.avoid:
            closed |= _groups_with(slot.pool, slot.avoid)
        allowed = np.array([group not in closed for group in table.groups.tolist()], dtype=bool)
        if slot.repairs and not self.counts.are_common(new.lower() for _, new, _ in slot.repairs):
            allowed &= ~_repaired(slot, table)
        return allowed

    def _cell(self, kind: str, context: str, surface: str, count: int) -> int:
        """Number of a cell with so many occurrences; rare ones share theirs. After the fit no cell is numbered."""
        if count < 0:
            return NO_CELL
        key = (kind, context, surface) if count >= OWN_CELL else (kind, count)
        return self._numbers.get(key, NO_CELL) if self._is_fitted else self._numbers.setdefault(key, len(self._numbers))

    def _cells_of(self, kind: str, context: str, slot: Slot, table: Table) -> Ints:
        """(n,) cells of the table's words in some company."""
        key = (slot.pool, slot.form, kind, context)
        known = self._cells.get(key)
        if known is None:
            if len(self._cells) > 200_000:  # about 100 MB
                self._cells.clear()
            cells = [self._cell(kind, context, word, self.counts.of(kind, context, word)) for word in table.surfaces]
            known = self._cells[key] = np.array(cells, dtype=np.int64)
        return known

    def _cells_at(self, text: ParsedCaption, slot: Slot, table: Table) -> Ints:
        """(5, n) cells that the table's words enter in the place of the slot's: all kinds but the topic."""
        cells = {kind: self._cells_of(kind, other, slot, table) for kind, other in _company(text, slot)}
        for token, new, _ in slot.repairs:
            if token == slot.last + 1:  # "two dogs" -> "one dog": the next word follows
                follows = self._cells_of("after", new.lower(), slot, table)
                cells["after"] = np.where(_repaired(slot, table), follows, cells["after"])
        return np.array(list(cells.values()))

    def _cells_left(self, text: ParsedCaption, slot: Slot) -> list[int]:
        """The 5 cells of the word that stands there in a training caption, by their occurrences in all others."""
        surface = surface_of(text, slot)
        return [
            self._cell(kind, other, surface, self.counts.of(kind, other, surface) - 1)
            for kind, other in _company(text, slot)
        ]

    def _topic_cells(self, category: str, topics: Floats) -> Ints:
        if category not in self._steps:
            return np.full(len(topics), NO_CELL)
        return self._numbers["topic", category, 0] + np.searchsorted(self._steps[category], topics)

    # The fit

    def _fit(self, texts: Sequence[ParsedCaption], rounds: Iterable[int]) -> None:
        """Fit the factors until what enters each cell is what leaves it."""
        swaps = self._list_swaps(texts)
        if swaps is None:
            return
        size, slots = len(self._numbers), swaps.slots
        factor_in, factor_out = np.zeros(size), np.zeros(size)
        for key, cell in self._numbers.items():
            if key[0] == "word" and len(key) == 3:
                factor_in[cell] = np.log(self.counts.surfaces[key[2]])
        names = sorted({slot.pool for slot in slots})
        pool = np.array([names.index(slot.pool) for slot in slots])
        factor_of_pool = np.zeros(len(names))
        wanted = np.bincount(pool, _share(slots, swaps.text_of_slot))  # swaps of each pool
        wanted *= len(np.unique(swaps.text_of_slot)) / wanted.sum()
        starts = np.flatnonzero(np.r_[True, np.diff(swaps.text_of) > 0])
        lengths = np.diff(np.r_[starts, len(swaps.text_of)])
        for _ in rounds:
            score = factor_in[swaps.entering].sum(0)
            score += (factor_of_pool[pool] - factor_out[swaps.leaving[0]])[swaps.slot_of]
            flow = np.exp(score - np.repeat(np.maximum.reduceat(score, starts), lengths))
            flow /= np.repeat(np.add.reduceat(flow, starts), lengths)  # (K,) chances; those of a caption sum to 1
            from_slot = np.bincount(swaps.slot_of, flow, minlength=len(slots))
            self.imbalance = {}
            for kind, into, from_ in zip(KINDS_OF_CELLS, swaps.entering, swaps.leaving):
                enters = np.bincount(into, flow, minlength=size)
                leaves = np.bincount(from_, from_slot, minlength=size)
                self.imbalance[kind] = float(abs(enters - leaves).sum() / (2 * len(starts)))
                gain = STEP * np.log((leaves + SHRINKAGE) / (enters + SHRINKAGE))
                factor_in += gain
                if kind == "word":
                    factor_out += gain
            factor_in[NO_CELL] = 0.0
            factor_of_pool += STEP * np.log((wanted + SHRINKAGE) / (np.bincount(pool, from_slot) + SHRINKAGE))
        self._factor_in, self._factor_out = factor_in, factor_out
        self._factor_of_pool = dict(zip(names, factor_of_pool.tolist()))

    def _list_swaps(self, texts: Sequence[ParsedCaption]) -> _Swaps | None:
        """Every possible swap of some training captions, and the cells that it moves a word between."""
        text_of: list[Ints] = []  # an array for each slot
        slot_of: list[Ints] = []
        entering: list[Ints] = []
        topics: list[Floats] = []
        leaving: list[list[int]] = []
        own_topics: list[float] = []
        slots: list[Slot] = []
        text_of_slot: list[int] = []
        for number, text in enumerate(texts):
            for slot in text.slots:
                table = self._table(slot)
                allowed = self._allowed(text, slot, table)
                if not allowed.any():
                    continue
                text_of.append(np.full(allowed.sum(), number))
                slot_of.append(np.full(allowed.sum(), len(slots)))
                entering.append(self._cells_at(text, slot, table)[:, allowed])
                topics.append(self._topics.of_table(text, slot, table)[allowed])
                leaving.append(self._cells_left(text, slot))
                own_topics.append(self._topics.of_own(text, slot))
                slots.append(slot)
                text_of_slot.append(number)
        if not slots:
            return None
        self._find_steps(slots, np.array(own_topics))
        steps = [self._topic_cells(slot.category, topic) for slot, topic in zip(slots, topics)]
        own_steps = [self._topic_cells(slot.category, np.array([topic]))[0] for slot, topic in zip(slots, own_topics)]
        return _Swaps(
            np.vstack([np.concatenate(entering, axis=1), np.concatenate(steps)]),
            np.vstack([np.array(leaving).T, own_steps]),
            np.concatenate(text_of),
            np.concatenate(slot_of),
            slots,
            np.array(text_of_slot),
        )

    def _find_steps(self, slots: Sequence[Slot], own_topics: Floats) -> None:
        """Steps of the topic: each holds an eighth of what the captions themselves say."""
        categories = np.array([slot.category for slot in slots])
        for category in sorted(set(categories.tolist())):
            own = own_topics[categories == category]
            edges = np.quantile(own, np.arange(1, TOPIC_STEPS) / TOPIC_STEPS)
            if len(np.unique(edges)) < len(edges):  # captions that are all alike: steps could not tell them apart
                continue
            self._steps[category] = edges
            for step in range(TOPIC_STEPS):
                self._numbers["topic", category, step] = len(self._numbers)


def _share(slots: Sequence[Slot], text_of_slot: Ints) -> Floats:
    """(S,) how much of its caption's swap each slot is to get: alike for all, less where one group is nearly all.

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
    within = np.bincount(text_of_slot)
    return np.array([(1 - largest[slot.pool]) / within[text] for slot, text in zip(slots, text_of_slot)])


def _company(text: ParsedCaption, slot: Slot) -> list[tuple[str, str]]:
    """Kind and context of the 5 cells of a place: all kinds but the topic, in the order of KINDS_OF_CELLS."""
    return [("word", ""), *zip(CONTEXTS, (*neighbours(text, slot), *governor_and_dependent(text, slot)))]


def _repaired(slot: Slot, table: Table) -> Bools:
    """(n,) do other words of the caption follow each word of the table?"""
    return np.array([needs_repairs(slot, surface) for surface in table.surfaces], dtype=bool)


@cache
def _groups_with(pool: str, words: frozenset[str]) -> frozenset[int]:
    """The groups of a pool that hold any of some words; there are a few hundred different sets of them."""
    return frozenset(number for number, group in enumerate(pools()[pool]) if not group.words.isdisjoint(words))


def _evenly(texts: Sequence[ParsedCaption], most: int) -> Sequence[ParsedCaption]:
    """At most `most` of the texts, evenly over all of them."""
    if len(texts) <= most:
        return texts
    return [texts[i * len(texts) // most] for i in range(most)]
