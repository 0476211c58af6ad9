"""Tokenizer_lib: words and their places, spelling, markup, vocabulary, encode and decode, files of another version."""

import json
import re
import time
import tracemalloc
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Tokenizer_lib import Tokenizer, drop_markup, normalise, split_words


def words_of(text):
    return [word.text for word in split_words(text)]


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
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("एक लाल गेंद दीवार के सामने", ["एक", "लाल", "गेंद", "दीवार", "के", "सामने"]),
        ("ลูกบอลสีส้ม", ["ลูกบอลสีส้ม"]),
        ("הַכֶּלֶב רָץ", ["הַכֶּלֶב", "רָץ"]),
        ("a black\u2011and\u2010white\uff0dgrey ball", ["a", "black-and-white-grey", "ball"]),
        ("a dog\u2014a brown one\u2013runs", ["a", "dog", "a", "brown", "one", "runs"]),
        ("man\u00b4s dog\uff07s cat\u02bcs cow\u2018s", ["man", "dog", "cat", "cow"]),
        ("it doesn\uff07t roll", ["it", "doesn't", "roll"]),
        ("\u2018a ball\u2019 \u00b4b\u00b4", ["a", "ball", "b"]),
        ("a yel\u00adlow ball\u00ad, cat\u00ad's", ["a", "yellow", "ball", "cat"]),
        ("a \u2764\ufe0f \u0301 ball\u200e", ["a", "ball"]),  # a mark without a letter is no word
        ("one\u200bword", ["one", "word"]),  # a zero-width space is a space
        ("5\u338f of Nike\u2122 shoes", ["5kg", "of", "nike", "shoes"]),
        ("\u00bd cup, 1\u20442 cup", ["1\u20442", "cup", "1\u20442", "cup"]),
        ("\uff32\uff45\uff44\u3000ball", ["red", "ball"]),
    ],
)
def test_spelling_is_unified_before_the_text_is_split(text, words):
    assert words_of(text) == [unicodedata.normalize("NFKC", word) for word in words]
    assert words_of(unicodedata.normalize("NFD", text)) == words_of(text)


@pytest.mark.parametrize(
    ("text", "plain", "words"),
    [
        ("A red&nbsp;ball &amp; a wall", "A red ball & a wall", ["A", "red", "ball", "a", "wall"]),
        ("a wall<br/>seen", "a wall seen", ["a", "wall", "seen"]),
        ("see https://example.org/x.jpg?a=1&amp;b=2 here", "see here", ["see", "here"]),
        ("WWW.example.org/x <a href='x.html'>a dog</a>", "a dog", ["a", "dog"]),
        ("&quot;A ball&QUOT; &#39;n&#x27; caf&eacute;", "\"A ball\" 'n' caf\u00e9", ["A", "ball", "n", "caf&eacute;"]),
        ("a dog&#39;s, cat&rsquo;s ball", "a dog's, cat\u2019s ball", ["a", "dog", "cat", "ball"]),
        ("a&amp;nbsp;ball &lt;br&gt;here&#60;/p&#62;", "a ball here", ["a", "ball", "here"]),
        ("yel&shy;low", "yel\u00adlow", ["yel&shy;low"]),
        ("(http://a.org/b.jpg)&nbsp;a dog", "( a dog", ["a", "dog"]),
        ("one<!-- hidden -->two", "one two", ["one", "two"]),
        ("<img src=a.jpg\nalt=b>cat", "cat", ["cat"]),
    ],
)  # fmt: skip
def test_markup_of_web_pages_has_no_words(text, plain, words):
    assert [text[word.start : word.end] for word in split_words(text)] == words
    assert drop_markup(text) == plain
    assert words_of(plain) == words_of(text)


@pytest.mark.parametrize(
    "text", ["black & white", "AT&T &foo; R&D;", "<PERSON> <3 a < b", "a <a and b> c", "x://y", "e.g. awww. so nice"]
)
def test_what_only_looks_like_markup_stays(text):
    assert drop_markup(text) == text
    assert words_of(text) == [word.lower() for word in re.findall(r"\w+(?:[-']\w+)*", text)]


MARKUP = [
    "&",
    "amp;",
    "&nbsp;",
    "&lt;",
    "&gt;",
    "&#39;s",
    "&eacute;",
    "<",
    ">",
    "<br/>",
    "<a x=",
    "https://",
    "www.",
    '"',
]
PIECES = st.sampled_from([*MARKUP, *"ab1 .-'=\n\u00e9\u00ad\u0301\u2011\u2019\u2122"])


@given(st.lists(PIECES, max_size=12).map("".join))
def test_a_text_without_its_markup_has_the_same_words(text):
    last = 0
    for word in split_words(text):
        assert last <= word.start < word.end <= len(text)
        assert normalise(text[word.start : word.end]) == word.text
        last = word.end
    assert words_of(drop_markup(text)) == words_of(text)


@given(
    st.text(st.characters(max_codepoint=126, exclude_characters="&<:"), max_size=80).filter(
        lambda t: "www." not in t.lower()
    )
)
def test_ascii_texts_keep_the_words_and_places_that_vocabularies_and_parses_have(text):
    expected = []
    for match in re.finditer(r"\w+(?:[-']\w+)*", text):
        cut = 2 * match[0].lower().endswith("'s")
        expected.append((match[0].lower()[: len(match[0]) - cut], match.start(), match.end() - cut))
    assert split_words(text) == expected


@pytest.mark.parametrize(
    "part",
    ["<a x= ", "<a ", "&lt;", "&amp;", "&amp;lt;a x=", "<!--", "https://", "www.", "&", "<a =", "a-", "\u0301", " "],
)
@pytest.mark.parametrize("head", ["", "<a x=", "&", "https://a", "<!--"])
def test_no_text_takes_long(head, part):
    start = time.process_time()
    split_words(head + part * (65_536 // len(part)))
    assert time.process_time() - start < 2  # each takes under 0.3 s; a quadratic search takes minutes


def test_long_words_are_not_kept():
    split_words("warm up \u00e9")
    tracemalloc.start()
    try:
        for number in range(60):
            split_words(f"{number}{'x' * 20_000} {number}{chr(0xE9) * 20_000}")
        assert tracemalloc.get_traced_memory()[0] < 200_000  # bytes; the words have 2.4 million
    finally:
        tracemalloc.stop()


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
