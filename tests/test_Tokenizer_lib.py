"""Tokenizer_lib: words and their places, vocabulary, encode and decode, files of another version."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Tokenizer_lib import Tokenizer, normalise, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A dog , running .", ["a", "dog", "running"]),
        ("A T-shirt, isn’t it?", ["a", "t-shirt", "isn't", "it"]),
        ("the dog's ball", ["the", "dog", "ball"]),
        ("Ein Straßencafé, ﬁsh \N{KANGAROO}", ["ein", "straßencafé", "fish"]),
        ("two\n\tcats", ["two", "cats"]),
        ("cafe\N{COMBINING ACUTE ACCENT} nai\N{COMBINING DIAERESIS}ve", ["café", "naïve"]),
        ("", []),
        ("?!", []),
    ],
)
def test_words(text, words):
    assert [word.text for word in split_words(text)] == words


def test_case_punctuation_and_spacing_are_ignored():
    tokenizer = Tokenizer.build({"a": 3, "red": 2, "ball": 1})
    assert tokenizer.encode("A red ball .") == tokenizer.encode("a RED, ball")


@given(st.text(max_size=80))
def test_places_point_into_the_text_as_given(text):
    last = 0
    for word in split_words(text):
        assert last <= word.start < word.end <= len(text)
        assert normalise(text[word.start : word.end]) == word.text
        last = word.end


def test_vocabulary_is_sorted_by_count_and_cut_at_min_count():
    tokenizer = Tokenizer.build({"rare": 1, "b": 5, "a": 5, "most": 9}, min_count=2)
    assert tokenizer.words == ["<pad>", "<unk>", "most", "a", "b"]
    assert tokenizer.encode("Most rare a") == [2, 1, 3]
    assert tokenizer.decode([2, 1, 3, 0, 0]) == "most <unk> a"


def test_encode_cuts_long_texts_and_never_returns_nothing():
    tokenizer = Tokenizer(["a"])
    assert tokenizer.encode("a a a a", max_words=3) == [2, 2, 2]
    assert tokenizer.encode("...") == [1]


def test_a_word_twice_is_refused():
    with pytest.raises(ValueError, match="twice"):
        Tokenizer(["a", "a"])


def test_save_and_load(tmp_path):
    tokenizer = Tokenizer(["dog", "café", "日本"])
    tokenizer.save(tmp_path / "vocabulary.json")
    assert Tokenizer.load(tmp_path / "vocabulary.json").words == tokenizer.words


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', "not json"])
def test_a_file_that_is_not_a_vocabulary_is_refused(tmp_path, content):
    (tmp_path / "vocabulary.json").write_text(content)
    with pytest.raises(ValueError, match="not a vocabulary of this program"):
        Tokenizer.load(tmp_path / "vocabulary.json")


def test_a_vocabulary_of_another_version_is_refused(tmp_path):
    (tmp_path / "vocabulary.json").write_text(json.dumps({"format": 99, "words": []}))
    with pytest.raises(ValueError, match="format 99, this version reads 1"):
        Tokenizer.load(tmp_path / "vocabulary.json")
    with pytest.raises(FileNotFoundError, match=r"Main_train\.py"):
        Tokenizer.load(tmp_path / "absent.json")
