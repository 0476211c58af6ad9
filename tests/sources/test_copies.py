"""Photographs that are the same picture: hosts, guests and groups."""

from intakes import join, picture, reasons, take_in, text

from sources.intake import Intake
from sources.items import Listed


def copies() -> Intake:
    """Ranks 1, 2: flickr30k; 3, 4: flickr8k; 5: pairs; 6: pairs, of another picture."""
    sources = {
        "flickr30k": [picture("flickr:1"), picture("flickr:2"), text("flickr:1", "a dog"), text("flickr:2")],
        "flickr8k": [
            picture("flickr:3"),
            picture("flickr:4"),
            text("flickr:3", "A dog.", "b:3"),
            text("flickr:4"),
            text("flickr:3", "a cat", "b:5"),
            Listed("flickr:4", "validation", "l"),
            Listed("flickr:9", "test", "l"),
            picture("flickr:9"),
            text("flickr:9"),
        ],
        "pairs": [picture("pairs:a"), picture("pairs:b"), text("pairs:a", "a pair", "p:1"), text("pairs:b")],
    }
    return take_in(sources)


def test_a_copy_in_another_source_becomes_a_guest_and_takes_its_new_texts_along():
    intake = copies()
    join(intake, [(1, 3)], lambda i, j: 2)
    rows = {row.rank: row for row in intake.rows(1, 9)}
    assert rows[1].guests == (3,) and 3 not in rows
    assert intake.kept_texts(3) == [(True, False), (True, True)], "a dog is there already, a cat is new"
    assert ("flickr8k", "b:3", "another dataset has the same text for the same picture") in reasons(intake)
    assert intake.overlaps["by picture"] == [
        {"photographs": ["flickr30k/1.jpg", "flickr8k/3.jpg"], "differing bits": 2, "stored as": "one row"}
    ]


def test_copies_within_a_source_keep_their_rows_in_one_group_and_one_split():
    intake = copies()
    join(intake, [(3, 4)])
    rows = {row.rank: row for row in intake.rows(1, 9)}
    assert rows[3].group == rows[4].group == "flickr:3"
    assert rows[3].split == rows[4].split == "validation"
    assert intake.overlaps["by picture"][0]["stored as"] == "two rows of one group"


def test_a_chain_of_copies_is_one_group_and_each_guest_goes_to_its_nearest_host():
    intake = copies()
    apart = {(1, 2): 9, (1, 3): 7, (2, 3): 1, (1, 4): 2, (2, 4): 8, (3, 4): 0, (1, 6): 3}
    join(intake, [(1, 2), (1, 3), (4, 3), (1, 6)], lambda i, j: apart.get((i, j)))
    rows = {row.rank: row for row in intake.rows(1, 9)}
    assert {rank: row.guests for rank, row in rows.items()} == {1: (4, 6), 2: (3,), 5: (), 7: ()}
    assert {rows[rank].group for rank in (1, 2)} == {"flickr:1"} and {row.split for row in (rows[1], rows[2])} == {
        "validation"
    }


def test_the_ends_of_a_chain_that_are_not_equal_keep_their_rows():
    """1 and 6 are each equal to 3 but not to each other, so they must not share their texts."""
    intake = copies()
    join(intake, [(1, 3), (3, 6)], lambda i, j: None if (i, j) == (1, 6) else 31)
    rows = {row.rank: row for row in intake.rows(1, 9)}
    assert (rows[1].guests, rows[6].guests) == ((3,), ())
    assert rows[1].group == rows[6].group == "flickr:1"


def test_a_guests_texts_are_compared_with_those_of_earlier_guests():
    sources = {name: [picture(f"{name}:1"), text(f"{name}:1", words, f"{name}:1")] for name, words in
               (("a", "one"), ("b", "two"), ("c", "Two."))}  # fmt: skip
    intake = take_in(sources)
    join(intake, [(1, 2), (1, 3)])
    assert [row.guests for row in intake.rows(1, 3)] == [(2, 3)]
    assert [intake.kept_texts(rank) for rank in (2, 3)] == [[(True, True)], [(True, False)]]
