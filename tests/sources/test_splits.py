"""Splits: official lists, held-out photographs, and a hash of the group for the rest; one group, one split."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from intakes import join, listed_flickr, photographs, picture, splits, take_in, text

from common.storage import SPLITS
from sources.items import Item, Listed, Picture
from sources.splits import FRACTIONS, hash_split


def test_the_split_column_of_pairs_counts_as_it_stands():
    items = [i for n in range(9) for i in (picture(f"pairs:{n}", split="validation"), text(f"pairs:{n}"))]
    assert set(splits(take_in({"pairs": items})).values()) == {"validation"}
    many = [i for n in range(40) for i in (picture(f"ade20k:{n}", split="validation"), text(f"ade20k:{n}"))]
    assert set(splits(take_in({"ade20k": many})).values()) == {"validation", "test"}
    assert set(splits(take_in({"ade20k": items[:2]})).values()) == {"validation"}


def test_the_strictest_official_split_counts_over_all_sources():
    intake = take_in(
        {
            "flickr30k": [picture("flickr:1"), picture("flickr:2"), picture("flickr:3")]
            + [text(f"flickr:{n}") for n in (1, 2, 3)]
            + [
                Listed("flickr:1", "test", "k:1"),
                Listed("flickr:2", "train", "k:2"),
                Listed("flickr:3", "train", "k:3"),
            ],
            "flickr8k": [Listed("flickr:1", "train", "l:1"), Listed("flickr:2", "validation", "l:2")],
        }
    )
    assert splits(intake) == {"flickr:1": "test", "flickr:2": "validation", "flickr:3": "train"}


def test_several_lists_of_one_source_are_noted():
    items = [
        picture("flickr:1"),
        text("flickr:1"),
        Listed("flickr:1", "train", "a:1"),
        Listed("flickr:1", "test", "b:1"),
    ]
    intake = take_in({"flickr8k": items})
    assert splits(intake) == {"flickr:1": "test"}
    assert intake.notes == [
        "flickr8k: 1 photographs are in several official lists; "
        "the strictest is used (test before validation before train)"
    ]


def with_validation(numbers: Iterable[int], test: Iterable[int] = ()) -> dict[str, Iterable[Item]]:
    items: list[Item] = [picture(f"coco:{n}", split="validation") for n in numbers]
    items += [picture(f"coco:{n}", split="test") for n in test]
    return {"coco": items + [text(item.identity) for item in items]}


def test_validation_is_divided_if_there_are_no_test_photographs():
    intake = take_in(with_validation(range(1000)))
    found = splits(intake)
    counts = Counter(found.values())
    assert counts["validation"] + counts["test"] == 1000 and 450 < counts["test"] < 550
    assert {found[f"coco:{n}"] for n in range(500)} == {"validation", "test"}, "by a hash, not by order"
    division = f"{counts['validation']} for validation and {counts['test']} for test"
    assert f"the 1,000 for validation were divided into {division}" in intake.notes[0]
    assert Counter(splits(take_in(with_validation(range(101), test=[500]))).values()) == {"validation": 101, "test": 1}


def test_photographs_that_are_added_to_a_folder_move_no_others():
    few, many = (splits(take_in(with_validation(numbers))) for numbers in (range(60), range(200)))
    assert few == {identity: many[identity] for identity in few}


def test_the_division_of_a_list_does_not_depend_on_which_photographs_are_there():
    listed = [Listed(f"flickr:{n}", "validation", f"l:{n}") for n in range(40)]

    def found(numbers: Iterable[int]) -> dict[str, str]:
        return splits(
            take_in({"f": [*(i for n in numbers for i in (picture(f"flickr:{n}"), text(f"flickr:{n}"))), *listed]})
        )

    whole = found(range(40))
    assert Counter(whole.values()) == {"validation": 20, "test": 20}
    assert found(range(7, 40)) == {f"flickr:{n}": whole[f"flickr:{n}"] for n in range(7, 40)}


def test_hash_split_gives_the_fractions_and_never_changes():
    counts = Counter(hash_split(f"flickr:{n}") for n in range(20_000))
    for split, fraction in zip(SPLITS, FRACTIONS):
        assert counts[split] / 20_000 == pytest.approx(fraction, abs=0.01)  # three standard deviations
    # Databases of two versions must agree, so the hash is part of the format.
    assert "".join(hash_split(f"flickr:{n}")[:2] for n in range(12)) == "trtrvatrtrtrtrvatrtrtete"
    intake = take_in({"flickr30k": [i for n in range(12) for i in (picture(f"flickr:{n}"), text(f"flickr:{n}"))]})
    assert splits(intake) == {f"flickr:{n}": hash_split(f"flickr:{n}") for n in range(12)}


@pytest.mark.parametrize(
    "line",
    ["9", "000000000009.jpg", "COCO_val2014_000000000009.jpg", "val2017/000000000009.jpg", "coco:9", "000000000009"],
)
def test_a_photograph_is_held_out_by_any_of_its_names(tmp_path, line):
    (tmp_path / "list.txt").write_text(f"{line}\n\nnobody.jpg\n")
    items = [picture("coco:9", "000000000009.jpg", "train"), picture("coco:10", "000000000010.jpg", "train")]
    intake = take_in({"coco": [*items, text("coco:9"), text("coco:10")]}, tmp_path / "list.txt")
    assert splits(intake) == {"coco:9": "test", "coco:10": "train"}
    assert intake.held_out == {"lines": 2, "photographs": 1, "unknown": ["nobody.jpg"]}
    assert "1 of its 2 lines name no photograph" in intake.notes[-1]


def test_a_hold_out_list_of_other_photographs_is_refused(tmp_path):
    (tmp_path / "list.txt").write_text("nobody.jpg\nno one.jpg\n")
    with pytest.raises(ValueError, match="none of its 2 lines is the id or file name of a photograph"):
        take_in({"coco": [picture("coco:9"), text("coco:9")]}, tmp_path / "list.txt")


@pytest.mark.parametrize("line", ["1000_0123456789.jpg", "1000.jpg", "1000", "ADE_val_00000001", "shop/shoe 1.png"])
def test_photographs_of_all_sources_can_be_held_out(tmp_path, line):
    (tmp_path / "list.txt").write_text(line)
    sources = {
        "flickr8k": [picture("flickr:1000", "1000_0123456789.jpg", "train"), text("flickr:1000")],
        "ade20k": [
            picture("ade20k:ADE_val_00000001", "ADE_val_00000001.jpg", "train"),
            text("ade20k:ADE_val_00000001"),
        ],
        "pairs": [
            Picture("pairs:shop/shoe 1.png", "shop/shoe 1.png", Path("x"), "train"),
            text("pairs:shop/shoe 1.png"),
        ],
    }
    assert Counter(splits(take_in(sources, tmp_path / "list.txt")).values()) == {"train": 2, "test": 1}


def test_without_validation_photographs_some_of_training_are_used_for_validation(tmp_path):
    """The whole dev list is held out, and no official test photographs exist."""
    (tmp_path / "dev.txt").write_text("".join(f"{n}.jpg\n" for n in range(1000, 1020)))
    train, dev = listed_flickr(range(600), "train"), listed_flickr(range(1000, 1020), "validation")
    intake = take_in({"flickr8k": train + dev}, tmp_path / "dev.txt")
    found = splits(intake)
    assert {found[f"flickr:{n}"] for n in range(1000, 1020)} == {"test"}
    moved = {name for name, split in found.items() if split == "validation"}
    assert 30 < len(moved) < 70 and Counter(found.values())["train"] == 600 - len(moved)
    assert intake.notes[-1].startswith(
        f"there were no validation photographs; {len(moved)} of the 600 training photographs"
    )
    # Databases of two versions must agree, so the hash is part of the format.
    assert sorted(int(name[7:]) for name in moved if int(name[7:]) < 60) == [17, 18, 50, 55]

    fewer = splits(take_in({"flickr8k": listed_flickr(range(300), "train") + dev}, tmp_path / "dev.txt"))
    assert {name for name, split in fewer.items() if split == "validation"} == moved & set(fewer), "each for itself"
    without = splits(take_in({"flickr8k": train + dev}))
    assert Counter(without.values()) == {"train": 600, "validation": 10, "test": 10}, (
        "with the dev list there is validation"
    )


def test_copies_stay_together_where_training_photographs_become_validation():
    intake = take_in({"flickr8k": listed_flickr(range(200), "train")})
    join(intake, [(rank, rank + 100) for rank in range(1, 101)])
    split_of = {row.rank: row.split for row in intake.rows(1, 200)}
    assert all(split_of[rank] == split_of[rank + 100] for rank in range(1, 101))
    assert 0 < Counter(split_of.values())["validation"] < 50


def test_a_validation_photograph_that_cannot_be_used_does_not_count():
    intake = take_in({"flickr8k": listed_flickr(range(200), "train") + listed_flickr([999], "validation")})
    (lost,) = (photograph.rank for name, photograph in photographs(intake).items() if name == "flickr:999")
    intake.leave_out_photograph(lost, {"flickr8k": "truncated"})
    join(intake, [])
    counts = Counter(row.split for row in intake.rows(1, 201))
    assert 5 < counts["validation"] < 50 and counts.total() == 200
