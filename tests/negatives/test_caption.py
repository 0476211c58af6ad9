import pytest
from parses import by_hand

from negatives.caption import Caption, other_number, third_persons
from negatives.text import Parse


@pytest.mark.parametrize(
    ("line", "tags"),
    [
        ("A:DT:1:det child:NN:2:nsubj plays=play:NNS:2:ROOT", ["DT", "NN", "VBZ"]),  # a verb taken for a plural
        ("The:DT:1:det child:NN:2:nsubj plays=play:NNS:2:ROOT", ["DT", "NN", "NNS"]),  # "the child plays", two nouns
        ("the:DT:2:det white:NNP:2:amod house:NNP:2:ROOT", ["DT", "NN", "NN"]),  # names are capitalised
        ("the:DT:2:det White:NNP:2:amod House:NNP:2:ROOT", ["DT", "NNP", "NNP"]),
        ("TWO:CD:2:nummod RED:NNP:2:amod DOGS:NNPS:2:ROOT", ["CD", "NN", "NNS"]),  # all capitals are not names
    ],
)
def test_wrong_tags_are_corrected(line, tags):
    assert Caption(by_hand(line)).tags == tags


def test_words_are_lower_case_at_their_offsets():
    """Lower case may be longer: a Turkish capital I with a dot becomes two characters."""
    for front in ("", "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}: "):
        assert Caption(by_hand("A:DT:1:det DOG:NN:1:ROOT", front)).words == ["a", "dog"]


def test_look_ups_go_past_either_end():
    caption = Caption(by_hand("A:DT:1:det dog:NN:1:ROOT"))
    assert [caption.word(i) for i in (-1, 0, 1, 2)] == ["", "a", "dog", ""]
    assert [caption.tag(i) for i in (-1, 0, 1, 2)] == ["", "DT", "NN", ""]


def test_noun_phrases():
    caption = Caption(
        by_hand(
            "On:IN:9:prep the:DT:4:det big:JJ:4:amod red:JJ:4:amod bus:NN:0:pobj without:IN:4:prep"
            " a:DT:8:det black:JJ:8:amod roof:NN:5:pobj sits=sit:VBZ:9:ROOT"
        )
    )
    assert (caption.noun_after(1), caption.noun_after(2), caption.noun_after(4)) == (4, 4, -1)
    assert (caption.phrase_start(4), caption.preposition(4), caption.determiner(4)) == (0, "on", "the")
    assert caption.is_definite(4) and not caption.is_definite(8)
    assert caption.is_missing(8) and not caption.is_missing(4)


def test_hyphens_join_words():
    empty = ("",) * 5
    caption = Caption(Parse("a two-story car", (0, 2, 5, 6, 12), (1, 5, 6, 11, 15), empty, empty, (0,) * 5, empty))
    assert [caption.is_joined(i, i) for i in range(5)] == [False, True, False, True, False]


@pytest.mark.parametrize(
    ("verb", "lemma", "form", "other"),
    [
        ("is", "be", "VBP", "are"),
        ("do", "do", "VBZ", "does"),
        ("runs", "run", "VBP", "run"),
        ("run", "run", "VBZ", "runs"),
        ("rid", "ride", "VBZ", None),  # the lemma is wrong
    ],
)
def test_the_other_number_of_a_verb(verb, lemma, form, other):
    assert other_number(verb, lemma, form) == other


def test_third_persons():
    assert {"plays", "runs", "poses", "begs"} <= third_persons() and "dogs" not in third_persons()
