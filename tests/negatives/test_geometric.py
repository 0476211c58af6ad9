"""negatives.geometric: the kind in a plan, its balance, and its negatives of drawn scenes."""

import random
from collections import Counter

import pytest
from batches import make_dataset
from parses import album, by_hand, regions_of
from plans import drawn

from Config import NegativesConfig
from DataBase_functions import Database
from Negative_map import KINDS, Plan
from negatives.acceptance import Acceptance, Frequencies, find_change
from negatives.geometric import _is_common
from negatives.geometry_rules import CATEGORIES
from negatives.text import Negative
from sources.scenes import is_true

BOXES = [(x / 10, 0.4, x / 10 + 0.08, 0.6) for x in range(1, 6)]
NUMBERS = ("One", "Two", "Three", "Four")


def dogs(count):
    noun, verb = ("dog:NN", "runs=run:VBZ") if count == 1 else ("dogs=dog:NNS", "run:VBP")
    return by_hand(f"{NUMBERS[count - 1]}:CD:1:nummod {noun}:2:nsubj {verb}:2:ROOT .:.:2:punct")


def kennel(folder, counts, splits=(), with_boxes=True):
    """A plan of one caption per photograph; counts: of its dogs."""
    captions = [[dogs(count)] for count in counts]
    boxes = [
        [regions_of(parse.text, **{parse.text.rsplit(" ", 1)[0].replace(" ", "_"): BOXES[:count]})]
        for (parse,), count in zip(captions, counts)
    ]
    return Plan.open(album(folder, captions, splits, boxes=boxes if with_boxes else ()))


@pytest.fixture(scope="module")
def tiny(databases):
    return Database(databases / "tiny")


def test_negatives_of_scenes_are_false_in_every_category(tiny):
    count = Counter()
    for caption, negative in drawn(tiny.plan, "geometric", 20):
        row = int(tiny.plan.row_of[caption])
        assert not is_true(negative.text, tiny.scene(row)), (tiny.plan.text(caption), negative.text)
        assert negative.kind == "geometric" and negative.text != tiny.plan.text(caption)
        count[negative.category] += 1
    assert set(count) == set(CATEGORIES) and min(count.values()) > 20


def test_captions_without_boxes_have_none(tmp_path):
    counts = [1, 2, 3] * 4
    assert list(drawn(kennel(tmp_path / "boxes", counts), "geometric"))
    plain = kennel(tmp_path / "plain", counts, with_boxes=False)
    assert not list(drawn(plain, "geometric", 50)) and not any(plain.has("geometric", i) for i in range(12))
    assert plain.facts["share_with"]["geometric"] == 0


def test_a_number_is_inserted_as_often_as_it_is_removed(tmp_path):
    """Three times as many captions say "two" as "three": still as many become one as the other."""
    plan = kennel(tmp_path / "dogs", [2] * 180 + [3] * 60 + [1] * 24)
    changes, rng = Counter(), random.Random(0)
    for caption in [*range(len(plan))] * 20:
        if negative := plan.draw_kind("geometric", caption, rng):
            changes[plan.text(caption).split()[0], negative.text.split()[0]] += 1
    removed, inserted = Counter(), Counter()
    for (old, new), n in changes.items():
        removed[old] += n
        inserted[new] += n
    assert removed["Two"] > 500
    for word in ("One", "Two", "Three"):
        assert inserted[word] == pytest.approx(removed[word], rel=0.12), changes


def test_the_negative_agrees_and_marks_its_number(tmp_path):
    plan = kennel(tmp_path / "dogs", [1, 2] * 8)
    texts = {(plan.text(caption), negative.text) for caption, negative in drawn(plan, "geometric", 30)}
    assert texts == {("One dog runs.", "Two dogs run."), ("Two dogs run.", "One dog runs.")}
    for _, negative in drawn(plan, "geometric"):
        assert [negative.text[start:end] for start, end in negative.changed] == [negative.text.split()[0]]


def test_nothing_after_the_limit_is_changed(tmp_path):
    plan = kennel(tmp_path / "dogs", [1, 2] * 8)
    assert list(drawn(plan, "geometric", within=len("Two dogs run")))
    assert not list(drawn(plan, "geometric", within=3))


def test_words_that_change_places_are_not_called_false():
    kind = KINDS["geometric"]
    false = {c: kind.changes_are_false(Negative("", "geometric", c, ())) for c in CATEGORIES}
    assert false == {
        "numbers": True,
        "sides": True,
        "vertical": True,
        "sizes": True,
        "attributes": False,
        "order": False,
    }
    assert KINDS["swap"].changes_are_false(Negative("", "swap", "", ()))
    assert not KINDS["mined"].changes_are_false(Negative("", "mined", "", ()))


def test_training_marks_the_false_words(tiny):
    only = NegativesConfig(swap=0, exchange=0, mined=0, geometric=1)
    dataset, marked = make_dataset(tiny, negatives=only, max_words=60), Counter()
    for row in tiny.rows("train"):
        for caption in dataset.texts(row, random.Random(row)):
            for negative, _, changed, _ in caption.negatives:
                assert negative.kind == "geometric"
                marked[negative.category, bool(changed)] += 1
    found = {category: {is_marked for name, is_marked in marked if name == category} for category in CATEGORIES}
    apart = {"attributes": {False}, "order": {False}}
    assert found == {category: {True} for category in CATEGORIES} | apart


def test_a_caption_that_is_true_of_the_photograph_is_not_drawn(tmp_path):
    def plan(name, captions):
        boxes = [
            [regions_of(each.text, Two_dogs=BOXES[:2]) if each.text[:3] == "Two" else () for each in own]
            for own in captions
        ]
        return Plan.open(album(tmp_path / name, captions, boxes=boxes))

    assert "Three dogs run." in {n.text for _, n in drawn(plan("apart", [[dogs(2)], [dogs(3)]]), "geometric", 60)}
    assert "Three dogs run." not in {n.text for _, n in drawn(plan("same", [[dogs(2), dogs(3)]]), "geometric", 60)}


def test_chances_of_a_caption_add_up_to_1_at_most():
    train = Frequencies(["two dogs run"] * 5 + ["three dogs run"] * 5 + ["four dogs run"] * 5)
    changes = [find_change("two dogs run", f"{n} dogs run", 1, words=True) for n in ("three", "four")]
    fitted = Acceptance(train, changes, [0, 0])
    assert sum(fitted.chances(changes, True)) == pytest.approx(1)
    assert fitted.chances(changes[:1], True) == [pytest.approx(1)]
    halved = [change._replace(choices=2) for change in changes]
    assert sum(fitted.chances(halved, True)) == pytest.approx(0.5)


def test_rare_words_are_not_drawn():
    """Of a word that the training captions have once, a model learns nothing."""
    train = Frequencies(["two dogs run"] * 6 + ["three dogs run"] * 2)
    change = find_change("two dogs run", "three dogs run", 1, words=True)
    assert _is_common(change, train, 2) and not _is_common(change, train, 3)


def test_sizes_of_photographs_are_relative(tmp_path):
    """What is called small and what is called large has the same areas: no size is decided."""

    def cups(size):
        named = by_hand(f"A:DT:2:det {size}:JJ:2:amod cup:NN:3:nsubj lies=lie:VBZ:3:ROOT .:.:3:punct")
        return [named, by_hand("The:DT:1:det cup:NN:2:nsubj lies=lie:VBZ:2:ROOT .:.:2:punct")]

    def plan(name, side):
        captions = [cups(size) for size in ("small", "large") * 40]
        squares = [(0.1, 0.1, 0.1 + side(n), 0.1 + side(n)) for n in range(80)]
        boxes = [
            [
                regions_of(own[0].text, **{own[0].text[:11].replace(" ", "_"): [box]}),
                regions_of(own[1].text, The_cup=[box]),
            ]
            for own, box in zip(captions, squares)
        ]
        return Plan.open(album(tmp_path / name, captions, boxes=boxes))

    apart = plan("apart", lambda n: 0.4 if n % 2 else 0.2)
    assert {negative.category for _, negative in drawn(apart, "geometric", 30)} == {"sizes"}
    assert not list(drawn(plan("same", lambda n: 0.2 + n / 200), "geometric", 30))


def test_it_is_not_in_the_mixture_by_default(tiny):
    rng, everything = random.Random(0), range(len(tiny.plan))
    kinds = Counter(tiny.plan.draw(caption, rng, NegativesConfig()).kind for caption in everything)
    assert "geometric" not in kinds
    kinds = Counter(tiny.plan.draw(caption, rng, NegativesConfig(geometric=0.2)).kind for caption in everything)
    assert kinds["geometric"] > 0.05 * kinds.total()
