"""The parser: remembered lemmas are equal to those of spaCy."""

import json
import os
from pathlib import Path

import pytest

from negatives.text import Parse
from sources.parser import CaptionParser, find_pipeline
from sources.scenes import make_scene, write_captions

TRICKY = [
    "He ain't gonna run .",
    "They're gonna jump and gotta go",
    "Let's go to Bob's left .",
    "let 's see",
    "C'mon , y'all",
    "There is a dog and there are cats .",
    "There's a man who is there",
    "The dog's being washed ; it has been left .",
    "He left his glasses and got left behind .",
    "Two men saw a saw , they ca n't wo n't",
    "I'd say she'd gone, he's here; it's his",
    "  two   spaces \n\n and a line ",
    "DOGS Running RUNNING runs",
    "",
]


def plain_parses(parser: CaptionParser, texts: list[str]) -> list[Parse]:
    return [Parse.from_doc(doc) for doc in parser.nlp.pipe(texts)]


@pytest.fixture(scope="module")
def parser() -> CaptionParser:
    return CaptionParser(find_pipeline())


def test_remembered_lemmas_are_those_of_spacy(parser):
    texts = TRICKY + [caption for seed in range(40) for caption in write_captions(make_scene(seed), seed)]
    expected = plain_parses(parser, texts)
    assert parser.parse(texts) == expected
    remembered = len(parser.lemmas)
    assert remembered > 200
    assert parser.parse(texts[::-1]) == expected[::-1], "now all are remembered"
    assert len(parser.lemmas) == remembered


def test_the_memory_of_lemmas_is_bounded(parser, monkeypatch):
    monkeypatch.setattr(CaptionParser, "MOST_REMEMBERED", 10)
    parser.parse(["A brown dog runs over the green grass with a ball in its mouth ."])
    assert len(parser.lemmas) > 10
    parser.parse(["A cat ."])
    assert len(parser.lemmas) == 3


@pytest.mark.system
@pytest.mark.skipif("TIC_PHOTOS" not in os.environ, reason="TIC_PHOTOS names no folder with flickr8k/, coco/, ade20k/")
def test_remembered_lemmas_of_real_captions(parser, monkeypatch):
    """What comes before the lemmas is computed once for both: it takes three quarters of the time."""
    root = Path(os.environ["TIC_PHOTOS"])
    lines = (root / "flickr8k" / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines()
    texts = [line.partition("\t")[2] for line in lines[:2000]]
    narratives = root / "ade20k" / "ade20k_validation_localized_narratives.jsonl"
    texts += [json.loads(line)["caption"] for line in narratives.read_text(encoding="utf-8").splitlines()]
    coco = json.loads((root / "coco" / "annotations" / "captions_val2017.json").read_text(encoding="utf-8"))
    texts += [annotation["caption"] for annotation in coco["annotations"]]
    docs = [*parser.nlp.pipe(texts, disable=parser.LEMMA_STEPS)]
    expected = []
    for doc in (doc.copy() for doc in docs):
        for step in parser.lemma_steps:
            doc = step(doc)
        expected.append(Parse.from_doc(doc))
    monkeypatch.setattr(parser.nlp, "pipe", lambda *_, **__: docs)
    assert parser.parse(texts) == expected
