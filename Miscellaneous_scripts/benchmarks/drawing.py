"""Hard negatives: drawn from the stored plan | by parsing each caption and replacing a word."""

import functools
import itertools
import random
import shutil
import time
from collections.abc import Callable, Container, Sequence
from typing import Any

import torch

from Config import NegativesConfig
from DataBase_functions import Database
from Miscellaneous_scripts.benchmarks import Measure
from Miscellaneous_scripts.benchmarks.plain_build import load_once
from Miscellaneous_scripts.benchmarks.processes import bytes_of
from Miscellaneous_scripts.benchmarks.workspace import Workspace
from Negative_map import KINDS, Plan
from negatives.edits import find_spots, known_words, needs_repairs, splice, write_edits
from negatives.slots import find_slots
from negatives.swap import Swap
from negatives.text import Negative, Parse, Slot
from negatives.vocabulary import inflect, pools

PARSED = 1000  # captions that the plain way uses, evenly spread; ours uses all
DRAWING = 1.0  # minimum seconds of one measurement


def negatives(work: Workspace) -> tuple[Measure, Measure]:
    torch.set_num_threads(1)
    folder = work.database("ours")
    turns = itertools.count()

    def rate(draw: Callable[[Any, random.Random], Negative | None], captions: Sequence[Any]) -> float:
        """Negatives per second over whole passes; captions without a negative cost time too."""
        rng, drawn, start = random.Random(next(turns)), 0, time.perf_counter()
        while (seconds := time.perf_counter() - start) < DRAWING:
            drawn += sum(draw(caption, rng) is not None for caption in captions)
        return drawn / seconds

    def ours() -> dict[str, float]:
        # A new plan for each measurement, so that its time is measured and no cache of an earlier one is used.
        shutil.rmtree(folder / "negatives", ignore_errors=True)
        database, start = Database(folder), time.perf_counter()
        plan, mixture = Plan.open(database), NegativesConfig()
        seconds, captions = time.perf_counter() - start, range(len(plan))

        def rate_of_kind(kind: str) -> float:
            some = [caption for caption in captions if plan.has(kind, caption)]
            return rate(functools.partial(plan.draw_kind, kind), some)

        # Captions without boxes have no geometric negatives.
        others = [name for name in KINDS if name != Swap.name and any(plan.has(name, one) for one in captions)]
        return {
            "negatives/s": rate_of_kind(Swap.name),  # the kind that the plain way draws
            **{f"{kind}/s": rate_of_kind(kind) for kind in others},
            "mixture/s": rate(lambda caption, rng: plan.draw(caption, rng, mixture), captions),
            "s for a plan of 1,000": 1000 * seconds / len(plan),
            "bytes of plan per caption": bytes_of(plan.folder) / len(plan),
        }

    plan = Plan.open(Database(folder))
    count = min(PARSED, len(plan))
    parsed = [plan.text(n * len(plan) // count) for n in range(count)]
    swaps = plain_swaps(work.pipeline, Database(folder).word_counts)

    def plain(caption: str, rng: random.Random) -> Negative | None:
        return next(iter(swaps(caption, rng, 1)), None)

    rate(plain, parsed[:100])  # loads the vocabulary
    return ours, lambda: {"negatives/s": rate(plain, parsed)}


def plain_swaps(pipeline: str, allowed: Container[str]) -> Callable[[str, random.Random, int], list[Negative]]:
    """The plain way to hard negatives: parse a caption and replace a word of it, `count` times; fewer if none fits."""
    nlp = load_once(pipeline, exclude=("ner",))

    def draw(caption: str, rng: random.Random, count: int) -> list[Negative]:
        parse = Parse.from_doc(nlp(caption))
        slots = find_slots(parse)
        swaps = [plain_swap(parse, slots, rng, allowed) for _ in range(count)]
        return [negative for negative in swaps if negative is not None]

    return draw


def plain_swap(parse: Parse, slots: Sequence[Slot], rng: random.Random, allowed: Container[str]) -> Negative | None:
    """Put a random word of the same pool into a random slot, without making negatives as likely as captions."""
    said = known_words(parse)
    for slot in rng.sample(slots, len(slots)):
        groups = [group for n, group in enumerate(pools()[slot.pool]) if n != slot.group]
        free = [group for group in groups if group.words.isdisjoint(said | slot.avoid)]
        words = [inflect(word, slot.form) for group in free for word in group.targets]
        if words := [word for word in words if all(part in allowed for part in word.split(" "))]:
            new = rng.choice(words)
            edits = write_edits(parse.text, find_spots(parse, slot), new, needs_repairs(slot, new))
            return splice(parse.text, edits, "swap", slot.category)
    return None
