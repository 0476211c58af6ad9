"""Plans of captions written by hand, and draws from a plan."""

import random

from parses import album, parked

from Negative_map import Plan

COLOURS = ("red", "blue", "green", "yellow", "white", "black")
CUP_AND_BALL = "A:DT:2:det red:JJ:2:amod cup:NN:2:ROOT and:CC:2:cc a:DT:6:det blue:JJ:6:amod ball:NN:2:conj"


def drawn(plan, kind, draws=8, **options):
    """Yield (caption, negative) of some draws of a kind for every caption."""
    for caption in range(len(plan)):
        for seed in range(draws):
            negative = plan.draw_kind(kind, caption, random.Random(seed), **options)
            if negative is not None:
                yield caption, negative


def parked_cars(folder, *more, times=3, **options):
    """A plan of the captions `more`, one per photograph, and after them "A red car is parked." in all COLOURS."""
    captions = [[parse] for parse in more] + [[parked(colour)] for colour in COLOURS for _ in range(times)]
    return Plan.open(album(folder, captions, **options))
