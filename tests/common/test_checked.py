"""common.checked: damaged JSON is refused in one line that names the file and what is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import pytest

from common import checked
from common.checked import FIX, check, check_words, hash_of_words, parse_json, parse_vocabulary, read_json
from Tokenizer_lib import Tokenizer


class Pair(NamedTuple):
    low: float
    high: float | None


@dataclass(frozen=True)
class Inner:
    width: int = 1


@dataclass(frozen=True)
class Outer:
    name: str = "a"
    rate: float = 0.5
    on: bool = True
    mode: Literal["one", "two"] = "one"
    first: int | None = None
    inner: Inner = field(default_factory=Inner)
    pairs: tuple[Pair, ...] = ()
    rates: Mapping[str, float] = field(default_factory=dict)
    words: Sequence[str] = ()


def test_values_of_the_right_types_are_returned():
    values = {"rate": 1, "first": None, "inner": {"width": 3, "other": []}, "pairs": [[0.5, None]], "rates": {"a": 0.5}}
    assert check(values, Outer, "f.json") is values
    assert check({}, Outer, "f.json") == {}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "f.json holds a list, not an object"),
        (None, "f.json holds null, not an object"),
        ({"name": 5}, "f.json: name is 5, not a string"),
        ({"rate": "0.5"}, 'f.json: rate is "0.5", not a finite number'),
        ({"rate": float("nan")}, "f.json: rate is NaN, not a finite number"),
        ({"rate": float("-inf")}, "f.json: rate is -Infinity, not a finite number"),
        ({"rate": True}, "f.json: rate is true, not a finite number"),
        ({"rate": 10**400}, "not a finite number"),
        ({"on": 1}, "f.json: on is 1, not true or false"),
        ({"mode": "three"}, 'f.json: mode is "three", not one of one, two'),
        ({"mode": []}, "f.json: mode is a list, not one of one, two"),
        ({"first": "x"}, 'f.json: first is "x", not a whole number'),
        ({"inner": [1]}, "f.json: inner is a list, not an object"),
        ({"inner": {"width": 2.0}}, "f.json: inner.width is 2.0, not a whole number"),
        ({"pairs": [[0.5]]}, "f.json: pairs[0] is a list, not a list of 2"),
        ({"pairs": [[0.5, 1.0], ["x", None]]}, 'f.json: pairs[1].low is "x", not a finite number'),
        ({"pairs": 5}, "f.json: pairs is 5, not a list"),
        ({"rates": {"a": None}}, "f.json: rates.a is null, not a finite number"),
        ({"rates": [1]}, "f.json: rates is a list, not an object"),
        ({"words": "text"}, 'f.json: words is "text", not a list'),
        ({"words": ["a", 3]}, "f.json: words[1] is 3, not a string"),
        ({"name": ["x" * 99]}, "f.json: name is a list, not a string"),
        ({"first": "x" * 99}, f'f.json: first is "{"x" * 38}…, not a whole number'),
    ],
)
def test_a_wrong_value_is_named(values, message):
    with pytest.raises(ValueError) as error:
        check(values, Outer, "f.json")
    assert message in str(error.value) and str(error.value).endswith(FIX) and "\n" not in str(error.value)


def test_what_is_needed_must_be_there():
    with pytest.raises(ValueError, match=r"f\.json has no b, c;"):
        check({"a": 1}, dict.fromkeys("abc", int), "f.json", needed=True)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "Expecting value"),
        (b"[" * 100_000, "its brackets are nested too deep"),
        (b'{"a":' * 100_000, "its brackets are nested too deep"),
        (b"\xff\xfe{\x00}\x00", "can't decode byte 0xff"),
        (b"9" * 5000, "Exceeds the limit"),
    ],
)
def test_what_is_no_json_is_refused_with_the_name_of_the_file(data, message, tmp_path):
    path = tmp_path / "f.json"
    path.write_bytes(data)
    for read in (lambda: parse_json(data, str(path)), lambda: read_json(path)):
        with pytest.raises(ValueError, match=message) as error:
            read()
        assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_byte_order_mark_is_no_damage():
    assert parse_json(b'\xef\xbb\xbf{"a": 1}', "f.json") == {"a": 1}


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "f.json").write_bytes(b" " * 100)
    monkeypatch.setattr(checked, "MOST_BYTES", 99)
    with pytest.raises(ValueError, match="has 100 bytes; at most 99 are read"):
        read_json(tmp_path / "f.json")


@pytest.mark.parametrize("words", ["5", '"red"', "[1, 2]", "[[]]", "null", '{"a": 1}', '["red", "red"]', '["<pad>"]'])
def test_a_damaged_vocabulary_is_refused(words):
    with pytest.raises(ValueError, match=r"v\.json") as error:
        parse_vocabulary(f'{{"format": 1, "words": {words}}}'.encode(), "v.json")
    assert "\n" not in str(error.value)


def test_exchanged_words_have_another_hash():
    red, other = Tokenizer(["red", "ball"]), Tokenizer(["ball", "red"])
    assert hash_of_words(red) != hash_of_words(other)
    assert hash_of_words(parse_vocabulary(red.to_json().encode(), "v.json")) == hash_of_words(red)
    check_words(red, hash_of_words(red), "v.json")
    check_words(red, None, "v.json")  # of an earlier version
    with pytest.raises(ValueError, match=r"v\.json has other words than the model was trained with"):
        check_words(other, hash_of_words(red), "v.json")
