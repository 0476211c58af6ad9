import pytest

from negatives.caption import Caption
from negatives.phrases import Phrases, known_nouns, numbers
from negatives.text import Parse


@pytest.fixture(scope="module")
def read(nlp):
    return lambda text: Phrases(Caption(Parse.from_doc(nlp(text))))


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("men", "person"),
        ("skier", "person"),
        ("puppies", "animal"),
        ("shirt", "garment"),
        ("leggings", "garment"),
        ("hair", "hair"),
        ("apple", "movable"),
        ("guitar", "movable"),
        ("unicycle", "ridden"),
        ("bus", "thing"),
        ("house", "thing"),
    ],
)
def test_kinds_of_nouns(word, kind):
    assert known_nouns()[word].kind == kind


def test_gender_age_and_number_of_beings():
    man, girl, babies = (known_nouns()[word] for word in ("man", "girl", "babies"))
    assert (man.gender, man.age, girl.gender, girl.age) == ("m", "adult", "f", "child")
    assert (babies.gender, babies.age) == ("", "baby")
    assert numbers()["man"] == "men" and numbers()["dogs"] == "dog" and "hat" not in numbers()


def test_noun_phrases_and_their_attributes(read):
    reading = read("Two men in light blue shirts pet his black and white dog .")
    men, shirts, dog = reading.phrases
    assert (men.word, men.determiner, men.plural) == ("men", "two", True)
    assert [(attribute.pool, attribute.words) for attribute in shirts.attributes] == [("colour.any", {"blue"})]
    assert reading.words[shirts.attributes[0].first] == "light", "a shade belongs to its colour"
    assert dog.is_owned and dog.attributes[0].words == {"black", "white"}
    assert reading.owner(shirts).phrase is men and reading.owner(dog) is None


@pytest.mark.parametrize(
    ("text", "types", "subject", "object"),
    [
        ("A dog chases a cat.", {"any"}, "dog", "cat"),
        ("A dog is running after a cat.", {"at"}, "dog", "cat"),
        ("A boy is being chased by a dog.", {"any"}, "boy", "dog"),
        ("The cup is to the left of a book.", {"side"}, "cup", "book"),
        ("A ball is above an umbrella.", {"height"}, "ball", "umbrella"),
    ],
)
def test_relations_have_a_direction(read, text, types, subject, object):
    (relation,) = read(text).relations()
    assert (relation.subject.word, relation.object.word) == (subject, object) and types <= relation.types


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("A man sits while a woman stands.", 1),
        ("A man is reading and a woman is sleeping.", 1),
        ("A man sits while a woman sits.", 0),  # the same verb
        ("A man and a woman sit.", 0),
    ],
)
def test_clauses_have_two_subjects_that_do_different_things(read, text, count):
    assert len(list(read(text).clauses())) == count


def test_verbs_that_are_tagged_as_nouns(read):
    reading = read("Two men in shirts play and a dog barks.")
    assert reading.tags[reading.words.index("play")].startswith("VB")
    assert reading.tags[reading.words.index("barks")] == "VBZ"
