"""negatives.swap: swaps are drawn with the chances of the balance, in the slots of the plan, without overlap."""

import random
from collections import Counter

import pytest
from parses import album, by_hand, parked
from plans import COLOURS, CUP_AND_BALL, drawn, parked_cars

from Config import NegativesConfig
from DataBase_functions import Database
from Negative_map import Plan
from negatives.balance import Balance, Option
from negatives.parsed_caption import read_captions
from negatives.swap import LONGEST, POINTS, sample
from Tokenizer_lib import split_words

THREE = NegativesConfig(most_swaps=3)


@pytest.fixture(scope="module")
def tiny(databases):
    return Database(databases / "tiny")


def test_swaps_are_drawn_with_the_chances_of_the_balance(tmp_path):
    rng = random.Random(0)
    captions = [[parked(rng.choice("red red blue green".split()), rng.choice(["car", "bus"]))] for _ in range(200)]
    plan = Plan.open(album(tmp_path, captions))
    texts = [text for parses in captions for text in read_captions(parses)]
    balance = Balance(texts)
    for caption in range(4):
        expected: Counter = Counter()
        for _, surface, chance in balance.options(texts[caption]):
            expected[surface] += chance
        counts = Counter(_new_word(plan.text(caption), plan.draw_kind("swap", caption, rng).text) for _ in range(2000))
        assert set(counts) <= set(expected)
        for word, chance in expected.items():
            assert counts[word] / 2000 == pytest.approx(chance, abs=1 / POINTS + 0.035)


def _new_word(old, new):
    (word,) = (b for a, b in zip(old.strip(".").split(), new.strip(".").split()) if a != b)
    return word


def test_sampled_points_follow_the_chances():
    """An option gets its chance of the POINTS, rounded up or down, and exactly its chance on average."""
    chances = [0.5, 0.3, 0.13, 0.05, 0.015, 0.005]
    options = [Option(0, f"word {i}", chance) for i, chance in enumerate(chances)]
    total: Counter = Counter()
    for number in range(2000):
        counts = dict(sample(options, number))
        assert sum(counts.values()) == POINTS
        for option in options:
            assert abs(counts.get(option, 0) - POINTS * option.chance) < 1
        total.update(counts)
    for option in options:
        assert total[option] / 2000 == pytest.approx(POINTS * option.chance, abs=0.05)
    assert sample(options, 3) == sample(options, 3)
    assert sample([], 0) == []


def test_a_swap_inserts_a_new_word_and_marks_it(tiny):
    for caption, negative in drawn(tiny.plan, "swap"):
        (start, end), *_ = negative.changed
        before = tiny.plan.text(caption)
        assert {word.text for word in split_words(negative.text[start:end])}.isdisjoint(
            word.text for word in split_words(before)
        )
        assert negative.text[:start].split()[:-1] == before[:start].split()[: len(negative.text[:start].split()) - 1]


def near(colour, thing, other_colour, other_thing, place):
    return by_hand(
        f"A:DT:2:det {colour}:JJ:2:amod {thing}:NN:3:nsubj is=be:VBZ:3:ROOT near:IN:3:prep a:DT:7:det "
        f"{other_colour}:JJ:7:amod {other_thing}:NN:4:pobj in:IN:3:prep the:DT:10:det {place}:NN:8:pobj .:.:3:punct"
    )


def test_one_to_three_different_words_are_swapped(tmp_path):
    rng = random.Random(0)
    captions = [
        [
            near(
                *rng.sample(COLOURS, 1),
                rng.choice(["cup", "book"]),
                *rng.sample(COLOURS, 1),
                rng.choice(["car", "bus"]),
                f"spot{n % 20}",
            )
        ]
        for n in range(300)
    ]
    plan = Plan.open(album(tmp_path, captions))
    changes = Counter()
    for caption in range(len(plan)):
        negative = plan.draw_kind("swap", caption, rng, THREE)
        old, new = plan.text(caption).strip(".").split(), negative.text.strip(".").split()
        different = [i for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
        assert [negative.text[start:end] for start, end in negative.changed] == [new[i] for i in different]
        assert len({new[i] for i in different}) == len(different), "one word was inserted twice"
        assert len(plan.draw_kind("swap", caption, rng).changed) == 1
        changes[len(different)] += 1
    assert set(changes) == {1, 2, 3}
    assert all(count == pytest.approx(100, abs=40) for count in changes.values())


def test_overlapping_slots_are_never_swapped_together(tmp_path):
    """If "two dogs are" becomes "one dog is", the dog cannot also become a cat."""

    def count(number, noun, tag, be, be_tag, place):
        return by_hand(
            f"{number}:CD:1:nummod {noun}:{tag}:3:nsubj {be}=be:{be_tag}:3:aux running=run:VBG:3:ROOT "
            f"in:IN:3:prep the:DT:6:det {place}:NN:4:pobj .:.:3:punct"
        )

    rng = random.Random(0)
    two = count("Two", "dogs=dog", "NNS", "are", "VBP", "spot1")
    more = [
        count("One", noun, "NN", "is", "VBZ", f"spot{rng.randrange(20)}")
        if number == "One"
        else count(number, f"{noun}s={noun}", "NNS", "are", "VBP", f"spot{rng.randrange(20)}")
        for number in ("One", "Two", "Three")
        for noun in ("dog", "cat")
        for _ in range(30)
    ]
    plan = Plan.open(album(tmp_path, [[parse] for parse in (two, *more)]))
    drawn = set()
    for caption in range(len(plan)):
        place = plan.text(caption).partition(" running ")[2]
        if not plan.text(caption).startswith("Two dogs"):
            continue
        texts = {plan.draw_kind("swap", caption, random.Random(seed), THREE).text for seed in range(50)}
        offered = {f"{words} running {place}" for words in ("Three dogs are", "One dog is", "Two cats are")}
        assert texts <= offered
        drawn |= {text.partition(" running ")[0] for text in texts}
    assert len(drawn) == 3


def test_a_caption_that_is_too_long_has_no_swap_but_the_other_kinds(tmp_path):
    words = f"{CUP_AND_BALL} .:.:2:punct"
    size = len(by_hand(words).text)
    longest, longer = (by_hand(words, "é" * (LONGEST - size - 1 + more) + " ") for more in (0, 1))
    assert len(longest.text) == LONGEST
    plan = parked_cars(tmp_path, longest, longer)
    assert plan.has("swap", 0) and not plan.has("swap", 1)
    negative = plan.draw_kind("swap", 0, random.Random(0))
    (start, _), *_ = negative.changed
    assert start > LONGEST - size
    assert negative.text.startswith(longest.text[:start]) and negative.text != longest.text
    assert plan.has("exchange", 1)
    texts = {negative.text for caption, negative in drawn(plan, "exchange", 50) if caption == 1}
    assert texts == {"é" * (LONGEST - size) + " A blue cup and a red ball."}
