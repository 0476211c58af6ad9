"""negatives.stored: captions on the disk are the captions that were written, in their order."""

import pyarrow as pa
import pytest
from parses import by_hand, parked

from Negative_map import _blocks, _column
from negatives.kind import Ragged
from negatives.parsed_caption import read_captions
from negatives.stored import Selection, StoredCaptions, write_block

CAPTIONS = [
    caption
    for parses in (
        [parked("red"), parked("blue", "bus")],
        [parked("green", where="street")],
        [by_hand("Köln:NNP:0:ROOT")],
    )
    for caption in read_captions(parses)
]


@pytest.fixture
def stored(tmp_path):
    """The four captions in blocks of 2, 0 and 2."""
    parts = (CAPTIONS[:2], [], CAPTIONS[2:])
    for number, captions in enumerate(parts):
        write_block(tmp_path / str(number), captions)
    return StoredCaptions([tmp_path / str(number) for number in range(3)], [len(part) for part in parts])


def test_captions_are_read_as_they_were_written(stored):
    found = list(stored)
    assert [(c.parse.text, c.words, c.lemmas, c.slots, c.named) for c in found] == [
        (c.parse.text, c.words, c.lemmas, c.slots, c.named) for c in CAPTIONS
    ]
    assert any(caption.slots for caption in found)
    for read, written in zip(found, CAPTIONS):
        assert list(map(list, read.parse[1:])) == list(map(list, written.parse[1:]))
    assert [stored[n].parse.text for n in (3, 0, 2, 1)] == [CAPTIONS[n].parse.text for n in (3, 0, 2, 1)]
    assert found[0].named is found[1].named, "captions of a photograph share what it names"
    with pytest.raises(IndexError):
        stored[4]


def test_a_selection_has_the_captions_with_its_numbers(stored):
    some = Selection(stored, [1, 3])
    assert [caption.parse.text for caption in some] == [CAPTIONS[n].parse.text for n in (1, 3)]
    assert len(some) == 2 and some[1].parse.text == CAPTIONS[3].parse.text
    assert [caption.parse.text for caption in stored[1:3]] == [CAPTIONS[n].parse.text for n in (1, 2)]


def test_blocks_do_not_divide_neighbours_of_one_photograph(monkeypatch):
    monkeypatch.setattr("Negative_map.ROWS_PER_BLOCK", 2)
    assert _blocks(list("aabbbcd")) == [range(2), range(2, 5), range(5, 7)]
    assert _blocks(list("abbbc")) == [range(4), range(4, 5)]
    assert _blocks([]) == []


def test_ragged_lists_become_a_column():
    lists, type_ = [[1, -2], [], [30_000]], pa.list_(pa.int16())
    ragged = Ragged("h")
    for one in lists:
        ragged.append(one)
    assert _column(ragged, type_).equals(_column(lists, type_)) and _column(lists, type_).to_pylist() == lists
    assert list(map(list, ragged)) == lists
    with pytest.raises(OverflowError):
        ragged.append([40_000])
