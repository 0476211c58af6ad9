"""Regions of repeated texts and of grounded sentences find the texts that are stored."""

import json

import pytest
from intakes import join, photographs, picture, reasons, take_in, text

from common.regions import Region
from sources.items import Grounded, LeftOut
from sources.manifest import account
from sources.regions import letters_of, most_alike

BOX, OTHER = (0.1, 0.2, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)


def sentence(
    words: str, start: int, end: int, where: str = "Sentences/1.txt:1", identity: str = "flickr:1"
) -> Grounded:
    return Grounded(identity, words, (Region(start, end, (BOX,)),), where)


def spans(intake, identity: str = "flickr:1") -> dict[str, list[str]]:
    """Text -> the words of its regions, for the texts that have some."""
    stored = photographs(intake)[identity].texts
    return {t.text: [t.text[region.start : region.end] for region in t.regions] for t in stored if t.regions}


def give(*sentences: Grounded, captions: tuple[str, ...]) -> dict[str, list[str]]:
    texts = [text("flickr:1", words, f"t:{n}") for n, words in enumerate(captions)]
    return spans(take_in({"flickr8k": [picture("flickr:1"), *texts], "entities": sentences}))


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A red t-shirt .", "red t-shirt"),
        ("a RED t - shirt", "RED t - shirt"),
        ("(A) red, t shirt!", "red, t shirt"),
        ("A red tshirt.", "red tshirt"),
    ],
)
def test_spacing_punctuation_and_case_do_not_matter(caption, words):
    assert give(sentence("A red t-shirt .", 2, 13), captions=(caption,)) == {caption: [words]}


@pytest.mark.parametrize(
    ("sentence_", "phrase", "caption", "words"),
    [
        ("two gray dogs fight over a toy .", "two gray dogs", "two grey dogs fight over a toy .", "two grey dogs"),
        (
            "A blond-haired toddler smiles at him .",
            "A blond-haired toddler",
            "A blonde haired toddler smiles at him .",
            "A blonde haired toddler",
        ),
        ("A blond-haired toddler smiles at him .", "him", "A blonde haired toddler smiles at him .", "him"),
        (
            "A young boy rides his skateboard over steps .",
            "his skateboard",
            "A young rides his skateboard over steps .",
            "his skateboard",
        ),
        ("The bride 's side of a party .", "a party", "The brides side of a party .", "a party"),
    ],
)
def test_words_may_differ_a_little(sentence_, phrase, caption, words):
    start = sentence_.index(phrase)
    assert give(sentence(sentence_, start, start + len(phrase)), captions=(caption,)) == {caption: [words]}


def test_a_phrase_whose_words_the_caption_lacks_has_no_region():
    found = give(
        sentence("A boy rides his skateboard over some steps .", 0, 5),
        captions=("A rides his skateboard over some steps .",),
    )
    assert found == {}


def test_every_caption_gets_the_sentence_with_its_letters_before_a_similar_one():
    gray, grey = sentence("A gray dog runs .", 2, 10), sentence("A grey dog runs .", 0, 10, "Sentences/1.txt:2")
    captions = ("A grey dog runs .", "A gray dog runs .", "A grey dog runs", "A cat sleeps .")
    assert give(gray, grey, captions=captions) == {
        "A grey dog runs .": ["A grey dog"],
        "A gray dog runs .": ["gray dog"],
        "A grey dog runs": ["A grey dog"],
    }


def test_sentences_that_fit_no_caption_and_those_without_a_photograph_are_counted():
    intake = take_in(
        {
            "flickr8k": [
                picture("flickr:1"),
                text("flickr:1", "A dog runs .", "t:1"),
                picture("flickr:3"),
                text("flickr:3", "A hat ."),
            ],
            "entities": [
                sentence("A dog runs .", 0, 5),
                sentence("Two cats sleep on a bed .", 0, 8, "Sentences/1.txt:2"),
                sentence("A dog runs .", 0, 5, "Sentences/2.txt:1", "flickr:2"),
                sentence("A dog swims .", 0, 5, "Sentences/2.txt:2", "flickr:2"),
                sentence("A hat .", 0, 5, "Sentences/3.txt:1", "flickr:3"),
                sentence("Two cats sleep on a bed .", 0, 8, "Sentences/3.txt:2", "flickr:3"),
                LeftOut("file", "Annotations/9.xml", "damaged", captions=5),
            ],
        }
    )
    assert [entry for entry in reasons(intake) if entry[0] == "entities"] == [
        ("entities", "Annotations/9.xml", "damaged"),
        ("entities", "Sentences/2.txt:1", "there is no picture of flickr:2 in the folders that were read"),
        ("entities", "Sentences/1.txt:2", "no caption of its photograph has its words"),
        ("entities", "Sentences/3.txt:2", "no caption of its photograph has its words"),
    ]
    intake.leave_out_photograph(2, {"flickr8k": "the file is damaged"})
    join(intake, [])
    assert account(intake, "entities", 0) == {
        "photographs": {"seen": 3, "stored": 1, "left_out": 2},
        "captions": {"seen": 11, "stored": 1, "left_out": 10},
    }


def test_regions_of_a_repeated_text_go_to_the_text_that_is_stored():
    region = (Region(2, 5, (BOX,)),)
    intake = take_in(
        {
            "flickr30k": [
                picture("flickr:1"),
                text("flickr:1", "A  dog .", "a:1"),
                text("flickr:1", "A hat .", "a:2")._replace(regions=(Region(0, 5, (OTHER,)),)),
                text("flickr:1", "A cat .", "a:3"),
            ],
            "flickr8k": [
                text("flickr:1", "a dog", "b:1")._replace(regions=region),
                text("flickr:1", "a hat", "b:2")._replace(regions=region),
                text("flickr:1", "a cat", "b:3", "narrative")._replace(regions=region),
            ],
        }
    )
    stored = {t.text: t.regions for t in photographs(intake)["flickr:1"].texts}
    assert stored == {
        "A  dog .": (Region(3, 6, (BOX,)),),
        "A hat .": (Region(0, 5, (OTHER,)),),
        "A cat .": (),
        "a cat": region,
    }


def test_of_several_repeats_the_first_one_with_regions_counts():
    texts = {"one": (), "two": (Region(2, 5, (BOX,)),), "three": (Region(2, 5, (OTHER,)),)}
    sources = {name: [text("pairs:1", "a dog", f"{name}:1")._replace(regions=found)] for name, found in texts.items()}
    intake = take_in({"pairs": [picture("pairs:1")], **sources})
    (stored,) = photographs(intake)["pairs:1"].texts
    assert stored.regions == texts["two"]


def test_a_text_keeps_its_own_regions_and_the_sentence_counts_as_stored():
    own = (Region(0, 5, (OTHER,)),)
    intake = take_in(
        {
            "flickr8k": [picture("flickr:1"), text("flickr:1", "A dog runs .")._replace(regions=own)],
            "entities": [sentence("A dog runs .", 0, 5)],
        }
    )
    assert photographs(intake)["flickr:1"].texts[0].regions == own
    join(intake, [])
    assert account(intake, "entities", 0)["captions"] == {"seen": 1, "stored": 1, "left_out": 0}


def test_texts_that_are_not_true_get_no_regions():
    intake = take_in(
        {
            "pairs": [
                picture("flickr:1"),
                text("flickr:1", "A cat ."),
                text("flickr:1", "A dog runs .", "t:2", matches=False),
            ],
            "entities": [sentence("A dog runs .", 0, 5)],
        }
    )
    assert spans(intake) == {}
    assert ("entities", "Sentences/1.txt:1", "no caption of its photograph has its words") in reasons(intake)


def test_the_most_alike_is_found_above_the_limit():
    letters = {3: letters_of("A gray dog!"), 4: letters_of("A grey dogs"), 5: letters_of("Two cats")}
    assert most_alike(letters_of("a grey dog"), letters) == 4
    assert most_alike(letters_of("a horse"), letters) is None
    assert json.dumps(letters_of("T-shirts, №1")) == '"tshirtsno1"'
