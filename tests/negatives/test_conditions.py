import pytest
from parses import by_hand

from negatives import conditions
from negatives.caption import Caption
from negatives.vocabulary import LIST, Entry

# "A small dog runs in the red car." with the slot at "car"; "dog" is token 2.
CAR = "A:DT:2:det small:JJ:2:amod dog:NN:3:nsubj runs=run:VBZ:3:ROOT in:IN:3:prep the:DT:7:det red:JJ:7:amod"
CAR += " car:NN:4:pobj near:IN:7:prep his:PRP$:11:poss old:JJ:11:amod house:NN:8:pobj today:NN:3:npadvmod .:.:3:punct"
ENTRY = Entry(("car",), "vehicle", "vehicle.large", 0, "car", "NN")


def holds(row, token=7, lenient=False):
    caption = Caption(by_hand(CAR))
    caption.lenient = lenient
    return conditions._holds(caption, conditions._rule(row), token, token)


@pytest.mark.parametrize(
    ("place", "present", "absent"),
    [
        ("before", "red", "the"),
        ("after", "near", "his"),
        ("near", "house", "today"),  # one of the next four
        ("ahead", "today", "."),  # one of the next five
        ("earlier", "runs", "dog"),  # one of the four before
        ("has", "dog", "cat"),
        ("preposition", "in", "near"),
        ("tags", "NN", "JJ"),
        ("after_tags", "IN", "NN"),
    ],
)
def test_places_of_conditions(place, present, absent):
    if place == "earlier":
        assert holds({"earlier": "runs in the"}) and not holds({"earlier": "dog a"})
    assert holds({place: f"{present} zebra"}) and not holds({place: absent})
    assert holds({f"not_{place}": absent}) and not holds({f"not_{place}": f"zebra {present}"})


def test_the_noun_that_a_word_describes():
    assert holds({"noun": "car"}, token=6) and not holds({"noun": "house"}, token=6)
    assert holds({"not_noun": "house"}, token=6) and not holds({"not_noun": "car"}, token=6)
    assert not holds({"noun": "car"}, token=3), "a verb does not describe a noun"


def test_lists_and_categories():
    assert holds({"has": "*animal"}) and holds({"noun": "*vehicle"}, token=6) and not holds({"has": "*food"})
    assert holds({"not_has": "@riding"}) and holds({"before": "@star red"})
    assert "riding" in LIST["riding"]


def test_flags():
    assert holds({"being": True}) and not holds({"being": False})
    assert holds({"human": False}) and not holds({"human": True})
    assert not holds({"object": True}) and holds({"object": True}, token=4)


def test_all_conditions_must_hold():
    assert holds({"before": "red", "after": "near"}) and not holds({"before": "red", "after": "the"})


def rules(monkeypatch, fits=(), avoid=()):
    made = ({"vehicle.large": tuple(map(conditions._rule, rows))} for rows in (fits, avoid))
    made = conditions._Rules(*made)
    monkeypatch.setattr(conditions, "_rules", lambda: made)


def test_rows_are_for_some_words_or_all_but_some(monkeypatch):
    caption = Caption(by_hand(CAR))
    for row, agrees in [
        ({"words": "car van", "before": "blue"}, False),
        ({"words": "van", "before": "blue"}, True),
        ({"not_words": "car", "before": "blue"}, True),
        ({"not_words": "van", "before": "blue"}, False),
    ]:
        rules(monkeypatch, fits=[row])
        assert conditions.fits(caption, ENTRY, 7, 7) is agrees, row


def test_last_resorts(monkeypatch):
    strict, lenient = Caption(by_hand(CAR)), Caption(by_hand(CAR))
    lenient.lenient = True
    rules(monkeypatch, fits=[{"before": "blue", "last_resort": "always"}])
    assert not conditions.fits(strict, ENTRY, 7, 7) and conditions.fits(lenient, ENTRY, 7, 7)
    rules(monkeypatch, fits=[{"before": "red", "last_resort": "only"}])
    assert not conditions.fits(strict, ENTRY, 7, 7) and conditions.fits(lenient, ENTRY, 7, 7)
    rules(monkeypatch, fits=[{"before": "blue", "last_resort": "only"}])
    assert not conditions.fits(lenient, ENTRY, 7, 7)


def test_words_of_all_rows_that_hold_are_avoided(monkeypatch):
    rows = [{"has": "dog", "avoid": "tank"}, {"has": "cat", "avoid": "bus"}, {"before": "red", "avoid": "fire_truck"}]
    rules(monkeypatch, avoid=rows)
    assert conditions.avoided(Caption(by_hand(CAR)), ENTRY, 7, 7) == {"tank", "fire truck"}
