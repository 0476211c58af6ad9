"""negatives.balance: swaps insert each word as often as they remove it, in each context, and never where it is true."""

import random
from collections import Counter

import pytest
from parses import by_hand, parked

from negatives.balance import MIN_COUNT, SMALL_CORPUS, Balance
from negatives.parsed_caption import read_captions

# How often each colour occurs with each noun. No shirt is black or blue, and no car yellow or green. Each colour can be
# replaced by three others of the same noun.
FREQUENCY = {
    "car": {"red": 60, "blue": 50, "black": 40, "white": 50},
    "shirt": {"red": 40, "green": 50, "yellow": 60, "white": 50},
}
# Words of no pool, so they are never swapped. They give the captions different topics.
PLACES = [f"spot{letter}" for letter in "abcdefghijklmnopqrstuvwxyzäöüßéèêáàâçñøå"]


def of(*parses):
    """Captions, each of another photograph."""
    return [caption for parse in parses for caption in read_captions([parse])]


def corpus(times=1, more=()):
    rng = random.Random(0)
    counted = [(c, thing, n) for thing, colours in FREQUENCY.items() for c, n in colours.items()]
    return of(*(parked(c, thing, rng.choice(PLACES)) for c, thing, n in counted for _ in range(n * times)), *more)


def flows(texts, options):
    """Expected inflow and outflow, by (next word, word)."""
    into, out = Counter(), Counter()
    for text in texts:
        for slot, surface, chance in options(text):
            replaced = text.slots[slot]
            into[text.words[replaced.last + 1], surface] += chance
            out[text.words[replaced.last + 1], replaced.word] += chance
    return into, out


def uniform(balance):
    """The same swaps, all with the same chance."""

    def options(text):
        found = balance.options(text)
        return [option._replace(chance=1 / len(found)) for option in found]

    return options


def worst(into, out):
    """The largest difference between inflow and outflow of a word, as a fraction of its outflow."""
    return max(abs(into[cell] - out[cell]) / out[cell] for cell in out)


def words(flow):
    """The flow of each word, summed over the next words."""
    total = Counter()
    for (_, word), value in flow.items():
        total[word] += value
    return total


@pytest.fixture(scope="module")
def fitted():
    texts = corpus()
    return texts, Balance(texts)


def test_inflow_is_outflow_for_each_word_and_noun(fitted):
    texts, balance = fitted
    into, out = flows(texts, balance.options)
    # Every caption has one slot, so each of its words is removed once.
    assert out == pytest.approx({(thing, c): n for thing, colours in FREQUENCY.items() for c, n in colours.items()})
    assert worst(words(into), words(out)) < 0.02
    assert worst(into, out) < 0.02


def test_a_uniform_draw_fails_the_same_test(fitted):
    texts, balance = fitted
    into, out = flows(texts, uniform(balance))
    assert worst(words(into), words(out)) > 0.2
    assert worst(into, out) > 0.4


def test_two_words_that_only_replace_each_other_are_balanced():
    """Left and right replace only each other, and each caption has five colours to swap instead."""
    side = "on:IN:3:prep the:DT:7:det {}:JJ:7:amod side:NN:4:pobj"
    line = "A:DT:2:det {}:JJ:2:amod thing:NN:3:nsubj is=be:VBZ:3:ROOT " + side
    colours = ("red", "blue", "black", "white", "green")
    texts = of(*(by_hand(line.format(c, s)) for s, n in (("left", 30), ("right", 20)) for c in colours * n))
    balance = Balance(texts)
    into, out = flows(texts, balance.options)
    assert out["side", "left"] > 10 and out["side", "right"] > 10
    assert worst(words(into), words(out)) < 0.05


def test_words_are_not_inserted_in_contexts_where_they_never_occur(fitted):
    texts, balance = fitted
    into, _ = flows(texts, balance.options)
    alien = {
        (thing, c) for thing in FREQUENCY for c in ("blue", "black", "green", "yellow") if c not in FREQUENCY[thing]
    }
    assert len(alien) == 4
    assert sum(into[cell] for cell in alien) < 0.002 * sum(into.values())
    evenly, _ = flows(texts, uniform(balance))
    assert sum(evenly[cell] for cell in alien) > 0.3 * sum(evenly.values())


def test_the_reported_imbalance_is_the_imbalance_of_the_draws(fitted):
    texts, balance = fitted
    into, out = flows(texts, balance.options)
    fraction = sum(abs(into[cell] - out[cell]) for cell in {*into, *out}) / (2 * len(texts))
    assert balance.imbalance["governor"] == pytest.approx(fraction, abs=2e-3)
    assert set(balance.imbalance) == {"word", "before", "after", "governor", "dependent", "topic"}


def test_chances_of_a_caption_sum_to_1(fitted):
    texts, balance = fitted
    for text in texts:
        options = balance.options(text)
        assert sum(option.chance for option in options) == pytest.approx(1)
        assert all(option.chance > 0 for option in options)
        assert len({option[:2] for option in options}) == len(options)


def test_the_slots_of_a_caption_are_swapped_equally_often():
    """The colour and the garment of "a red hat" are swapped about equally often, and both are balanced."""
    rng = random.Random(1)
    things = ["shirt"] * 30 + ["hat"] * 40 + ["scarf"] * 30
    colours = ["red"] * 30 + ["blue"] * 40 + ["yellow"] * 30
    texts = of(*(parked(rng.choice(colours), rng.choice(things), rng.choice(PLACES)) for _ in range(600)))
    balance = Balance(texts)
    into, out, category = Counter(), Counter(), Counter()
    for text in texts:
        assert [slot.category for slot in text.slots] == ["colour", "clothing"]
        for slot, surface, chance in balance.options(text):
            into[surface] += chance
            out[text.slots[slot].word] += chance
            category[text.slots[slot].category] += chance
    assert category["colour"] == pytest.approx(300, rel=0.1)
    assert worst(into, out) < 0.03


def eats(food):
    return by_hand(f"A:DT:1:det boy:NN:2:nsubj eats=eat:VBZ:2:ROOT {food} .:.:2:punct")


FOODS = {
    "ice cream": eats("ice:NN:4:compound cream:NN:2:dobj"),
    **{food: eats(f"{food}:NN:2:dobj") for food in ("pizza", "soup", "popcorn", "spaghetti", "pasta")},
}


@pytest.mark.parametrize(
    ("caption", "other", "never"),
    [
        ("soup", "pizza", {"soup", "pizza"}),
        ("soup", "ice cream", {"soup", "ice cream"}),
        ("ice cream", "soup", {"soup", "ice cream"}),
        ("soup", "pasta", {"soup", "pasta", "spaghetti"}),  # of one group
    ],
)
def test_what_another_caption_of_the_photograph_names_is_never_drawn(caption, other, never):
    balance = Balance([text for parse in FOODS.values() for text in read_captions([parse]) * 5])
    for names, absent in (((caption, other), never), ((caption,), {caption})):
        text = read_captions([FOODS[name] for name in names])[0]
        drawn = {surface for slot, surface, _ in balance.options(text) if text.slots[slot].category == "food"}
        assert drawn == set(FOODS) - absent


def test_words_of_the_same_group_are_never_drawn():
    """ "A dog" and "a puppy" can be the same animal."""
    pets = ("dog", "puppy", "cat", "kitten", "rabbit")
    balance = Balance(of(*(by_hand(f"A:DT:1:det {pet}:NN:2:nsubj runs=run:VBZ:2:ROOT") for pet in pets)))
    (text,) = of(by_hand("The:DT:1:det puppy:NN:2:nsubj sleeps=sleep:VBZ:2:ROOT"))
    animals = {surface for slot, surface, _ in balance.options(text) if text.slots[slot].category == "animal"}
    assert animals == {"cat", "kitten", "rabbit"}


def test_rare_words_are_drawn_in_small_corpora_only():
    def drawn(balance):
        return {surface for _, surface, _ in balance.options(of(parked("red", "car"))[0])}

    some = [parked("orange"), parked("pink"), parked("green"), *[parked("yellow")] * MIN_COUNT]
    rare = [*some, *[parked("gray")] * (MIN_COUNT - 1)]
    small, large = corpus(more=rare), corpus(times=3, more=rare)
    assert len(small) < SMALL_CORPUS <= len(large)
    assert {"gray", "yellow"} <= drawn(Balance(small))
    assert "yellow" in drawn(Balance(large))
    assert "gray" not in drawn(Balance(large))


def test_repairs_need_words_that_occur_in_captions():
    """ "Two dogs are" -> "one dog is" needs captions with "dog" and "is"; "three dogs are" needs no repairs."""

    def count(number, noun, tag, be, be_tag):
        return by_hand(f"{number}:CD:1:nummod {noun}:{tag}:3:nsubj {be}=be:{be_tag}:3:aux running=run:VBG:3:ROOT")

    two, three = (count(number, "dogs=dog", "NNS", "are", "VBP") for number in ("Two", "Three"))
    (text,) = of(two)

    def numbers(*train):
        options = Balance(of(*train)).options(text)
        return {surface for slot, surface, _ in options if text.slots[slot].category == "number"}

    assert numbers(two, three, count("One", "dog", "NN", "is", "VBZ")) == {"three", "one"}
    assert numbers(two, three, count("One", "cat", "NN", "is", "VBZ")) == {"three"}


def test_the_fit_is_the_same_each_time(fitted):
    texts, balance = fitted
    again = Balance(corpus())
    assert all(again.options(text) == balance.options(text) for text in texts[::20])


def test_new_captions_are_swapped_with_words_of_the_training_captions(fitted):
    _, balance = fitted
    (text,) = of(parked("purple", "truck", "nowhere"))
    options = balance.options(text)
    assert {surface for _, surface, _ in options} <= {"car", "red", "blue", "black", "white", "green", "yellow"}
    assert {text.slots[slot].category for slot, _, _ in options} == {"colour", "vehicle"}
    assert sum(chance for _, _, chance in options) == pytest.approx(1)


def test_without_slots_or_without_training_captions_there_is_no_swap(fitted):
    _, balance = fitted
    (plain,) = of(by_hand("Something:NN:1:nsubj happened=happen:VBD:1:ROOT"))
    assert balance.options(plain) == []
    nothing = Balance([])
    assert nothing.options(of(parked("red"))[0]) == []
    assert Balance([plain]).options(plain) == []
    alone = Balance(of(parked("red")))  # only the words of this caption can be drawn
    assert alone.options(of(parked("red"))[0]) == []
    assert {surface for _, surface, _ in alone.options(of(parked("blue", "shirt"))[0])} == {"red"}


def barking(colour, animal):
    return by_hand(
        f"A:DT:2:det {colour}:JJ:2:amod {animal}:NN:4:nsubj is=be:VBZ:4:aux barking=bark:VBG:4:ROOT .:.:4:punct"
    )


def test_words_are_drawn_by_their_frequency():
    """40 dogs, 40 cats, 20 horses. Balanced: 30 dogs become cats and 10 horses, 30 cats dogs and 10 horses."""
    line = "The:DT:1:det {}:NN:2:nsubj runs=run:VBZ:2:ROOT to:IN:2:prep {}:NN:3:pobj"
    rng = random.Random(0)
    texts = of(*(by_hand(line.format(a, rng.choice(PLACES))) for a in [*["dog"] * 40, *["cat"] * 40, *["horse"] * 20]))
    balance = Balance(texts)
    drawn = Counter()
    for text in texts[:40]:
        drawn.update({surface: chance / 40 for _, surface, chance in balance.options(text)})
    assert drawn == pytest.approx({"cat": 0.75, "horse": 0.25}, abs=0.05)


def test_pools_with_one_dominant_group_are_swapped_less_often():
    """90 of 100 animals are dogs, so few others can replace them; half of the colours are black."""
    rng = random.Random(0)
    animals = ["dog"] * 90 + ["cat"] * 10
    texts = of(*(barking(rng.choice(["black", "white"]), animal) for animal in animals * 4))
    balance, category = Balance(texts), Counter()
    for text in texts:
        for slot, _, chance in balance.options(text):
            category[text.slots[slot].category] += chance / len(texts)
    assert category["colour"] == pytest.approx(0.5 / (0.5 + 0.1), abs=0.05)
