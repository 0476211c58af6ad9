"""How often each swap is drawn, so that a blind judge cannot detect the negatives.

A swap replaces a word of a caption by another word. A judge that never sees the picture can only detect words, and
words in a context, that swaps insert more often than they remove. Each of these is counted as a *cell*:

    word        the word itself                             "kayak"
    before      with the word before it                     "red kayak"
    after       with the word after it                      "kayak down"
    governor    with its governor in the parse              "paddle _ kayak", "on: sit _", "_ dog" for a colour
    dependent   with its dependent (verbs only)             "ride _ bicycle"
    topic       how well it fits all other words of the caption, in eight steps

A cell of the first five types has a count: its occurrences in the training captions. The chance of a swap is a product
of factors: one for each cell of the new word, one for the old word, and one for the pool of words. They are fitted
until the inflow of each cell (swaps that insert the word there) equals its outflow (swaps that replace it there) over
the training captions. With the cells of the type
"word" only, this is Sinkhorn scaling of a symmetric matrix to the word frequencies (Sinkhorn 1964); with more cells it
is iterative proportional fitting (Deming and Stephan 1940).

Rare contexts must be as rare among negatives as among new captions. The count of a context of a caption's own word
therefore leaves out this caption (leave-one-out, as in Good-Turing estimation). All cells with fewer than
`MIN_CELL_COUNT` occurrences share their factors: one factor for 0 occurrences, one for 1, and one for 2.

`Counts` and `Topics` are statistics of the training captions. `Balance` numbers the cells, fits their factors, and
gives the chances of a caption's swaps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.jobs import progress
from negatives.edits import needs_repairs
from negatives.parsed_caption import (
    END,
    START,
    ParsedCaption,
    content_lemmas,
    governor_and_dependent,
    neighbours,
    words_of_slot,
)
from negatives.stored import Selection
from negatives.text import Slot
from negatives.vocabulary import inflect, pools

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MIN_COUNT = 3  # a word with fewer occurrences in the training captions is not drawn: models read it as <unk>
SMALL_CORPUS = 1000  # captions; with fewer, every word can be drawn, or too few words would be left
MIN_CELL_COUNT = 3  # a cell with fewer occurrences in the training captions shares its factor
NO_CELL = 0  # for a word without this context, and for cells that the fit did not see; its factor is 1
MIN_LEMMA_CAPTIONS = 5  # lemmas in fewer training captions are left out of the topic
TOPIC_STEPS = 8
TOPIC_SHRINKAGE = 1.0  # captions; added to the number of captions with both words, and to the expected number
FIT_CAPTIONS = 40_000  # 27 possible swaps each, a swap is 8 numbers: 70 MB
ROUNDS = 100  # of fitting; 60 leave 3 to 11 % more imbalance
# Step size of one round, which corrects all seven factors of a swap, for its old and its new word. If two words can
# only replace each other (upper, lower), a step of 0.3 oscillates: it leaves 9 % imbalance on Scenes; 0.12, 0.2 %.
STEP = 0.12
SHRINKAGE = 3.0  # swaps; keeps the factor of a cell with few swaps near 1
# Without the rate, which would leave no room for the imbalance on a terminal of 80 columns.
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} rounds [{elapsed}<{remaining}{postfix}]"
CONTEXTS = ("before", "after", "governor", "dependent")
CELL_TYPES = ("word", *CONTEXTS, "topic")


class Table(NamedTuple):
    """The n words that can be drawn for one pool and inflected form."""

    surfaces: tuple[str, ...]
    groups: Ints  # (n,) the number of each word's group in the pool
    topics: Ints  # (n,) their columns in `Topics`


class Option(NamedTuple):
    """One possible swap of a caption."""

    slot: int
    surface: str
    chance: float


class Counts:
    """Occurrences of words, and of words in their contexts, in the training captions."""

    def __init__(self, train: Sequence[ParsedCaption]):
        self.words: Counter[str] = Counter()
        self.surfaces: Counter[str] = Counter()  # the words of slots; some entries have several words ("teddy bear")
        self._bigrams: Counter[tuple[str, str]] = Counter()
        self._in_parse: Counter[tuple[str, str, str]] = Counter()  # (cell type, governor or dependent, surface)
        self.min_count = MIN_COUNT if len(train) >= SMALL_CORPUS else 1
        for caption in train:
            self.words.update(caption.words)
            self._bigrams.update(zip((START, *caption.words), (*caption.words, END)))
            for slot in caption.slots:
                surface = words_of_slot(caption, slot)
                self.surfaces[surface] += 1
                for cell_type, other in zip(CONTEXTS[2:], governor_and_dependent(caption, slot)):
                    self._in_parse[cell_type, other, surface] += 1

    def are_common(self, words: Iterable[str]) -> bool:
        """Whether all of these words are frequent enough to be drawn."""
        return all(self.words[word] >= self.min_count for word in words)

    def can_be_drawn(self, surface: str) -> bool:
        """Whether it is frequent, in slots too. A word that is never replaced must not be inserted ("monkey bars")."""
        return self.surfaces[surface] >= self.min_count and self.are_common(surface.split(" "))

    def of(self, cell_type: str, context: str, surface: str) -> int:
        """Occurrences of a word in a context; -1 if there is no context of this type."""
        if cell_type == "word":
            return self.surfaces[surface]
        if cell_type == "before":
            return self._bigrams[context, surface.split(" ", 1)[0]]
        if cell_type == "after":
            return self._bigrams[surface.rsplit(" ", 1)[-1], context]
        return self._in_parse[cell_type, context, surface] if context else -1


class Topics:
    """How well a word fits all other content words of a caption: a sum of log ratios, 0 where they are independent.

    Each ratio is the number of training captions with both words over the expected number.
    """

    def __init__(self, train: Sequence[ParsedCaption], surfaces: Iterable[str]):
        lemmas: Counter[str] = Counter()
        for caption in train:
            lemmas.update(content_lemmas(caption))
        frequent = sorted(lemma for lemma, n in lemmas.items() if n >= MIN_LEMMA_CAPTIONS)
        self._columns = {surface: i for i, surface in enumerate(sorted(surfaces))}
        self._rows = {lemma: i for i, lemma in enumerate(frequent)}
        # Captions with both (lemmas, surfaces), and with the surface; the last column is for unknown surfaces.
        both = np.zeros((len(self._rows), len(self._columns) + 1), dtype=np.float32)
        own = np.zeros(len(self._columns) + 1, dtype=np.float32)
        for caption in progress(train, "negatives: count topics", " captions"):
            inside = [self._rows[lemma] for lemma in content_lemmas(caption) if lemma in self._rows]
            for surface in {words_of_slot(caption, slot) for slot in caption.slots}:
                both[inside, self._columns[surface]] += 1
                own[self._columns[surface]] += 1
        frequency = np.array([lemmas[lemma] for lemma in self._rows], dtype=np.float32)
        self._both, self._expected = both, np.outer(frequency, own) / max(1, len(train))
        self._log_ratio = np.log((both + TOPIC_SHRINKAGE) / (self._expected + TOPIC_SHRINKAGE))

    def column(self, surface: str) -> int:
        return self._columns.get(surface, len(self._columns))

    def of_table(self, caption: ParsedCaption, slot: Slot, table: Table) -> Floats:
        """(n,) the topic of each word of the table, if it replaced the word of the slot."""
        return self._log_ratio[self._others(caption, slot)][:, table.topics].sum(0)

    def of_own(self, caption: ParsedCaption, slot: Slot) -> float:
        """Topic of the slot's own word in a training caption, counted in all other captions."""
        others, own = self._others(caption, slot), self._columns[words_of_slot(caption, slot)]
        both, expected = self._both[others, own] - 1, self._expected[others, own]
        return float(np.log((np.maximum(both, 0) + TOPIC_SHRINKAGE) / (expected + TOPIC_SHRINKAGE)).sum())

    def _others(self, caption: ParsedCaption, slot: Slot) -> list[int]:
        """Rows of the other lemmas, sorted: in the order of a set, each process would round the sum differently."""
        return sorted(self._rows[lemma] for lemma in content_lemmas(caption, slot) if lemma in self._rows)


class _Swaps(NamedTuple):
    """All K possible swaps and all S slots of some captions, with one row for each of the 6 types of cells."""

    new_cells: Ints  # (6, K) cells of the new words
    old_cells: Ints  # (6, S) cells of the old words
    caption_of: Ints  # (K,) the caption of each swap
    slot_of: Ints  # (K,) the slot of each swap
    slots: Sequence[Slot]
    caption_of_slot: Ints  # (S,) the caption of each slot


class Balance:
    """The chances of swaps, fitted to training captions. All factors are stored as logarithms."""

    def __init__(self, train: Sequence[ParsedCaption]):
        """Fit the factors, with progress bars."""
        self.counts = Counts(train)
        self._topics = Topics(train, self.counts.surfaces)
        self._tables: dict[tuple[str, str], Table] = {}
        self._numbers: dict[tuple, int] = {("none",): NO_CELL}  # cell -> its number; all cells of the fit
        self._cells: dict[tuple, Ints] = {}  # cache: numbers of the cells of a table's words in a context
        self._steps: dict[str, Floats] = {}  # category -> (7,) edges between the steps of the topic
        self._is_fitted = False
        self._factor_new: Floats = np.zeros(1)  # by cell of the new word
        self._factor_old: Floats = np.zeros(1)  # by cell of the old word; only cells of the type "word"
        self._factor_of_pool: dict[str, float] = {}
        # Type of cell -> the fraction of all swaps by which inflow and outflow differ.
        self.imbalance: dict[str, float] = {}
        self._fit(_evenly(train, FIT_CAPTIONS))
        self._is_fitted = True

    def options(self, caption: ParsedCaption) -> list[Option]:
        """All possible swaps of a caption. Their chances sum to 1; an empty list if there is no swap."""
        found: list[tuple[int, Table, Ints, Floats]] = []
        for number, slot in enumerate(caption.slots):
            table = self._table(slot)
            which = np.flatnonzero(self._allowed(caption, slot, table))
            if len(which):
                found.append((number, table, which, self._scores(caption, slot, table)[which]))
        if not found:
            return []
        highest = max(score.max() for *_, score in found)
        total = sum(float(np.exp(score - highest).sum()) for *_, score in found)
        return [
            Option(number, table.surfaces[i], float(np.exp(value - highest)) / total)
            for number, table, which, score in found
            for i, value in zip(which, score)
        ]

    def _scores(self, caption: ParsedCaption, slot: Slot, table: Table) -> Floats:
        """(n,) log chances of the table's words in a slot, up to a constant for each caption."""
        own = self._cell("word", "", surface := words_of_slot(caption, slot), self.counts.surfaces[surface])
        score = self._factor_new[self._new_cells(caption, slot, table)].sum(0)
        score += self._factor_of_pool.get(slot.pool, 0.0) - self._factor_old[own]
        if slot.category in self._steps:
            score += self._factor_new[self._topic_cells(slot.category, self._topics.of_table(caption, slot, table))]
        return score

    # Words and cells

    def _table(self, slot: Slot) -> Table:
        found = self._tables.get((slot.pool, slot.form))
        if found is None:
            drawn = [
                (surface, number)
                for number, group in enumerate(pools()[slot.pool])
                for surface in dict.fromkeys(inflect(word, slot.form) for word in group.targets)
                if self.counts.can_be_drawn(surface)
            ]
            found = self._tables[slot.pool, slot.form] = Table(
                tuple(surface for surface, _ in drawn),
                np.array([number for _, number in drawn], dtype=np.int64),
                np.array([self._topics.column(surface) for surface, _ in drawn], dtype=np.int64),
            )
        return found

    def _allowed(self, caption: ParsedCaption, slot: Slot, table: Table) -> Bools:
        """(n,) True for words of the table that make the caption false and are good English in the slot."""
        closed = {group for pool, group in caption.named if pool == slot.pool} | {slot.group}
        if slot.avoid:
            closed |= _groups_with(slot.pool, slot.avoid)
        allowed = np.array([group not in closed for group in table.groups.tolist()], dtype=bool)
        if slot.repairs and not self.counts.are_common(new.lower() for _, new, _ in slot.repairs):
            allowed &= ~_needs_repairs(slot, table)
        return allowed

    def _cell(self, cell_type: str, context: str, surface: str, count: int) -> int:
        """Number of a cell that occurs `count` times; rare cells share one. After the fit, new cells get NO_CELL."""
        if count < 0:
            return NO_CELL
        key = (cell_type, context, surface) if count >= MIN_CELL_COUNT else (cell_type, count)
        return self._numbers.get(key, NO_CELL) if self._is_fitted else self._numbers.setdefault(key, len(self._numbers))

    def _cells_of(self, cell_type: str, context: str, slot: Slot, table: Table) -> Ints:
        """(n,) cells of the table's words in a context."""
        key = (slot.pool, slot.form, cell_type, context)
        known = self._cells.get(key)
        if known is None:
            if len(self._cells) > 200_000:  # about 100 MB
                self._cells.clear()
            counts = [self.counts.of(cell_type, context, word) for word in table.surfaces]
            cells = [self._cell(cell_type, context, word, count) for word, count in zip(table.surfaces, counts)]
            known = self._cells[key] = np.array(cells, dtype=np.int64)
        return known

    def _new_cells(self, caption: ParsedCaption, slot: Slot, table: Table) -> Ints:
        """(5, n) cells of the table's words in a slot: all types but the topic."""
        cells = {
            cell_type: self._cells_of(cell_type, other, slot, table) for cell_type, other in _contexts(caption, slot)
        }
        for token, new, _ in slot.repairs:
            if token == slot.last + 1:  # "two dogs" -> "one dog": the next word changes too
                repaired = self._cells_of("after", new.lower(), slot, table)
                cells["after"] = np.where(_needs_repairs(slot, table), repaired, cells["after"])
        return np.array(list(cells.values()))

    def _old_cells(self, caption: ParsedCaption, slot: Slot) -> list[int]:
        """The 5 cells of a slot's own word in a training caption, by their counts in all other captions."""
        surface = words_of_slot(caption, slot)
        return [
            self._cell(cell_type, other, surface, self.counts.of(cell_type, other, surface) - 1)
            for cell_type, other in _contexts(caption, slot)
        ]

    def _topic_cells(self, category: str, topics: Floats) -> Ints:
        if category not in self._steps:
            return np.full(len(topics), NO_CELL)
        return self._numbers["topic", category, 0] + np.searchsorted(self._steps[category], topics)

    # The fit

    def _fit(self, captions: Sequence[ParsedCaption]) -> None:
        """Fit the factors: in each round the inflow of each cell comes closer to its outflow."""
        swaps = self._list_swaps(captions)
        if swaps is None:
            return
        size, slots = len(self._numbers), swaps.slots
        factor_new, factor_old = np.zeros(size), np.zeros(size)
        for key, cell in self._numbers.items():
            if key[0] == "word" and len(key) == 3:
                factor_new[cell] = np.log(self.counts.surfaces[key[2]])
        names = sorted({slot.pool for slot in slots})
        pool = np.array([names.index(slot.pool) for slot in slots])
        factor_of_pool = np.zeros(len(names))
        wanted = np.bincount(pool, _slot_weights(slots, swaps.caption_of_slot))  # swaps of each pool
        wanted *= len(np.unique(swaps.caption_of_slot)) / wanted.sum()
        starts = np.flatnonzero(np.r_[True, np.diff(swaps.caption_of) > 0])
        lengths = np.diff(np.r_[starts, len(swaps.caption_of)])
        rounds = progress(range(ROUNDS), "negatives: balance", " rounds", bar_format=BAR)
        for _ in rounds:
            score = factor_new[swaps.new_cells].sum(0)
            score += (factor_of_pool[pool] - factor_old[swaps.old_cells[0]])[swaps.slot_of]
            flow = np.exp(score - np.repeat(np.maximum.reduceat(score, starts), lengths))
            flow /= np.repeat(np.add.reduceat(flow, starts), lengths)  # (K,) chances, which sum to 1 for each caption
            from_slot = np.bincount(swaps.slot_of, flow, minlength=len(slots))
            self.imbalance = {}
            for cell_type, new, old in zip(CELL_TYPES, swaps.new_cells, swaps.old_cells):
                inflow = np.bincount(new, flow, minlength=size)
                outflow = np.bincount(old, from_slot, minlength=size)
                self.imbalance[cell_type] = float(abs(inflow - outflow).sum() / (2 * len(starts)))
                correction = STEP * np.log((outflow + SHRINKAGE) / (inflow + SHRINKAGE))
                factor_new += correction
                if cell_type == "word":
                    factor_old += correction
            factor_new[NO_CELL] = 0.0
            factor_of_pool += STEP * np.log((wanted + SHRINKAGE) / (np.bincount(pool, from_slot) + SHRINKAGE))
            rounds.set_postfix_str(f"imbalance {max(self.imbalance.values()):.1%}", refresh=False)
        self._factor_new, self._factor_old = factor_new, factor_old
        self._factor_of_pool = dict(zip(names, factor_of_pool.tolist()))

    def _list_swaps(self, captions: Sequence[ParsedCaption]) -> _Swaps | None:
        """Every possible swap of some training captions with its cells; None if there is none."""
        caption_of: list[Ints] = []  # an array for each slot
        slot_of: list[Ints] = []
        new_cells: list[Ints] = []
        topics: list[Floats] = []
        old_cells: list[list[int]] = []
        own_topics: list[float] = []
        slots: list[Slot] = []
        caption_of_slot: list[int] = []
        for number, caption in enumerate(progress(captions, "negatives: list swaps", " captions")):
            for slot in caption.slots:
                table = self._table(slot)
                allowed = self._allowed(caption, slot, table)
                if not allowed.any():
                    continue
                caption_of.append(np.full(allowed.sum(), number))
                slot_of.append(np.full(allowed.sum(), len(slots)))
                new_cells.append(self._new_cells(caption, slot, table)[:, allowed])
                topics.append(self._topics.of_table(caption, slot, table)[allowed])
                old_cells.append(self._old_cells(caption, slot))
                own_topics.append(self._topics.of_own(caption, slot))
                slots.append(slot)
                caption_of_slot.append(number)
        if not slots:
            return None
        self._find_steps(slots, np.array(own_topics))
        steps = [self._topic_cells(slot.category, topic) for slot, topic in zip(slots, topics)]
        own_steps = [self._topic_cells(slot.category, np.array([topic]))[0] for slot, topic in zip(slots, own_topics)]
        return _Swaps(
            np.vstack([np.concatenate(new_cells, axis=1), np.concatenate(steps)]),
            np.vstack([np.array(old_cells).T, own_steps]),
            np.concatenate(caption_of),
            np.concatenate(slot_of),
            slots,
            np.array(caption_of_slot),
        )

    def _find_steps(self, slots: Sequence[Slot], own_topics: Floats) -> None:
        """Set the steps of the topic so that each holds an eighth of the captions' own words, by category."""
        categories = np.array([slot.category for slot in slots])
        for category in sorted(set(categories.tolist())):
            own = own_topics[categories == category]
            edges = np.quantile(own, np.arange(1, TOPIC_STEPS) / TOPIC_STEPS)
            if len(np.unique(edges)) < len(edges):  # the captions are too similar to be divided into steps
                continue
            self._steps[category] = edges
            for step in range(TOPIC_STEPS):
                self._numbers["topic", category, step] = len(self._numbers)


def _slot_weights(slots: Sequence[Slot], caption_of_slot: Ints) -> Floats:
    """(S,) the wanted chance of each slot to be swapped: equal in a caption, but lower if one group dominates the pool.

    If 85 % of the animals are dogs and 15 % are others, at most 30 % of the animals can be swapped without changing the
    frequencies: every other animal becomes a dog, and as many dogs become other animals. The wanted
    chance is half of that, which can be reached.
    """
    totals: Counter[str] = Counter()
    groups: Counter[tuple[str, int]] = Counter()
    for slot in slots:
        totals[slot.pool] += 1
        groups[slot.pool, slot.group] += 1
    largest: dict[str, float] = {}
    for (pool, _), n in groups.items():
        largest[pool] = max(largest.get(pool, 0.0), n / totals[pool])
    slots_of_caption = np.bincount(caption_of_slot)
    return np.array(
        [(1 - largest[slot.pool]) / slots_of_caption[number] for slot, number in zip(slots, caption_of_slot)]
    )


def _contexts(caption: ParsedCaption, slot: Slot) -> list[tuple[str, str]]:
    """(cell type, context) of the 5 cells of a slot: all types but the topic, in the order of CELL_TYPES."""
    return [("word", ""), *zip(CONTEXTS, (*neighbours(caption, slot), *governor_and_dependent(caption, slot)))]


def _needs_repairs(slot: Slot, table: Table) -> Bools:
    """(n,) True for words of the table that need the repairs of the slot."""
    return np.array([needs_repairs(slot, surface) for surface in table.surfaces], dtype=bool)


@cache
def _groups_with(pool: str, words: frozenset[str]) -> frozenset[int]:
    """The groups of a pool that hold any of these words. Cached: `avoid` has only a few hundred different values."""
    return frozenset(number for number, group in enumerate(pools()[pool]) if not group.words.isdisjoint(words))


def _evenly(captions: Sequence[ParsedCaption], most: int) -> Sequence[ParsedCaption]:
    """At most `most` of the captions, evenly spaced."""
    if len(captions) <= most:
        return captions
    return Selection(captions, [i * len(captions) // most for i in range(most)])
