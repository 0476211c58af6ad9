"""Joining what the readers gave: one photograph one row, one group one split, and nothing gets lost uncounted."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.intake import LONGEST_CAPTION, SHARES, Intake, Photograph, caption_problem, hash_split
from sources.readers import SPLITS, Item, LeftOut, Listed, Picture, Text


def picture(identity: str, image_id: str | None = None, split: str | None = None) -> Picture:
    name = image_id or f"{identity.partition(':')[2]}.jpg"
    return Picture(identity, name, Path("pictures") / name, split)


def text(identity: str, words: str = "a dog", where: str = "captions:1", kind: str = "caption", matches: bool = True):
    return Text(identity, words, kind, where, matches)


def take_in(sources: dict[str, Iterable[Item]], hold_out: Path | None = None) -> Intake:
    intake = Intake(Path(":memory:"))
    for name, items in sources.items():
        intake.add_source(name)
        for item in items:
            intake.add(name, item)
    intake.join()
    intake.official_splits(hold_out)
    return intake


def photographs(intake: Intake) -> dict[str, Photograph]:
    return {photograph.files[0].identity: photograph for chunk in intake.chunks(2) for photograph in chunk}


def splits(intake: Intake) -> dict[str, str]:
    """Identity -> split, of every photograph."""
    intake.join_copies([])
    ranks = {photograph.rank: identity for identity, photograph in photographs(intake).items()}
    return {ranks[row.rank]: row.split for row in intake.rows(1, len(ranks))}


def reasons(intake: Intake) -> list[tuple[str, str, str]]:
    return [(entry["source"], entry["where"], entry["reason"]) for entry in intake.left_out()]


# Joining


def test_texts_of_all_sources_come_to_the_photograph():
    intake = take_in(
        {
            "coco": [picture("coco:9"), picture("coco:7"), text("coco:9"), text("coco:7", "a cat")],
            "narratives": [text("coco:9", "we can see a dog", "n:1", "narrative")],
            "sharegpt4v": [text("coco:9", "The image shows a dog.", "s:[0]", "dense")],
        }
    )
    found = photographs(intake)
    assert list(found) == ["coco:7", "coco:9"], "in the order of their names"
    assert [(t.text, t.kind, t.source) for t in found["coco:9"].texts] == [
        ("a dog", "caption", "coco"),
        ("we can see a dog", "narrative", "narratives"),
        ("The image shows a dog.", "dense", "sharegpt4v"),
    ]


def test_files_of_one_photograph_are_one_photograph():
    intake = take_in(
        {
            "flickr30k": [picture("flickr:1", "1.jpg"), text("flickr:1")],
            "flickr8k": [picture("flickr:1", "1_a.jpg"), text("flickr:1", "a cat", "t:1")],
        }
    )
    (found,) = photographs(intake).values()
    assert [file.image_id for file in found.files] == ["1.jpg", "1_a.jpg"]
    assert found.sources == ("flickr30k", "flickr8k")
    assert intake.overlaps["by number"] == [{"sources": ["flickr30k", "flickr8k"], "photographs": 1}]


def test_a_text_is_repeated_across_files_only_and_whatever_its_spelling():
    """Within one file it stays: published protocols count all five captions."""
    intake = take_in(
        {
            "flickr30k": [picture("flickr:1"), text("flickr:1", "A dog.", "a:1"), text("flickr:1", "A dog.", "a:2")],
            "flickr8k": [
                text("flickr:1", "a dog .", "b:1"),
                text("flickr:1", "a dog", "b:2", "narrative"),
                text("flickr:1", "a dog", "b:3", matches=False),
                text("flickr:1", "a hog", "b:4"),
            ],
        }
    )
    (found,) = photographs(intake).values()
    assert [(t.text, t.kind, t.source, t.matches) for t in found.texts] == [
        ("A dog.", "caption", "flickr30k", True),
        ("A dog.", "caption", "flickr30k", True),
        ("a dog", "narrative", "flickr8k", True),
        ("a dog", "caption", "flickr8k", False),
        ("a hog", "caption", "flickr8k", True),
    ]
    assert reasons(intake) == [("flickr8k", "b:1", "the same text as in a")]


def test_what_has_no_partner_is_told_once():
    intake = take_in(
        {
            "coco": [
                picture("coco:1"),
                picture("coco:2"),
                picture("coco:3"),
                text("coco:1"),
                text("coco:4", where="c:4"),
                text("coco:3", where="c:3", matches=False),
            ],
            "flickr8k": [picture("flickr:1"), text("flickr:1"), Listed("flickr:2", "train", "list:1")],
        }
    )
    assert set(photographs(intake)) == {"coco:1", "flickr:1"}
    assert reasons(intake) == [
        ("coco", "c:4", "there is no picture of coco:4 in the folders that were read"),
        ("coco", "pictures/2.jpg", "it has no usable caption"),
        ("coco", "pictures/3.jpg", "all its texts are labelled as mismatches"),
        ("flickr8k", "list:1", "there is no picture of flickr:2 in the folders that were read"),
    ]
    assert [entry["captions"] for entry in intake.left_out()] == [1, 0, 1, 0]


def test_a_file_whose_name_is_not_utf8_is_told(tmp_path):
    odd = Picture("flickr:x", "x", tmp_path / os.fsdecode(b"caf\xe9.jpg"))
    intake = take_in({"flickr8k": [odd, picture("flickr:1"), text("flickr:1")]})
    (entry,) = intake.left_out()
    assert entry["where"].endswith("caf\\xe9.jpg") and entry["photographs"] == 1
    intake.join_copies([])
    assert intake.account("flickr8k", 1)["photographs"] == {"seen": 2, "stored": 1, "left_out": 1}


def test_texts_about_a_dataset_that_was_not_given_are_one_entry():
    narratives = [text(f"coco:{n}", where=f"n:{n}", kind="narrative") for n in range(50)]
    narratives += [text("ade20k:a", where="n:60"), text("ade20k:b", where="n:61")]
    intake = take_in({"ade20k": [picture("ade20k:a")], "narratives": narratives})
    entries = list(intake.left_out())
    assert [(e["what"], e["where"], e["captions"], e["photographs"]) for e in entries] == [
        ("picture", "n:61", 1, 1),
        ("collection", "coco", 50, 50),
    ]
    assert entries[1]["reason"] == "describes pictures of coco, of which no folder was given"


@pytest.mark.parametrize(
    ("caption", "problem"),
    [
        ("", "the caption is empty"),
        (". ,", "the caption '. ,' holds no word"),
        ("x" * (LONGEST_CAPTION + 1), "the caption has 10,001 characters; at most 10,000 are read"),
        ("a dog", None),
        ("犬", None),
    ],
)
def test_captions_that_cannot_be_used(caption, problem):
    intake = take_in({"coco": [picture("coco:1"), text("coco:1", caption, "c:1"), text("coco:1", "a cat", "c:2")]})
    assert reasons(intake) == ([("coco", "c:1", problem)] if problem else [])
    assert len(photographs(intake)["coco:1"].texts) == (1 if problem else 2)
    assert caption_problem("a dog", 2) is None


def test_each_source_is_told_its_own_reason():
    sources = {
        "flickr30k": [picture("flickr:1", "1.jpg"), text("flickr:1")],
        "flickr8k": [picture("flickr:1", "1_a.jpg"), text("flickr:1", "a cat", "t:1")],
        "narratives": [text("flickr:1", "we see a cat", "n:1", "narrative")],
    }
    intake = take_in(sources)
    intake.lose(1, {"flickr30k": "the file is empty", "flickr8k": "the file is no picture"})
    assert [(source, reason) for source, _, reason in reasons(intake)] == [
        ("flickr30k", "the file is empty"),
        ("flickr8k", "the file is no picture"),
        ("narratives", "the file is empty"),
    ]


def test_a_folder_that_was_given_but_holds_no_such_picture_is_not_called_absent():
    intake = take_in({"coco": [text("coco:4", where="c:4")]})
    assert reasons(intake) == [("coco", "c:4", "there is no picture of coco:4 in the folders that were read")]


def test_several_files_of_one_photograph_in_one_source_are_noted():
    intake = take_in({"coco": [picture("coco:1", "a.jpg"), picture("coco:1", "b.jpg"), text("coco:1")]})
    assert intake.notes == ["coco: 1 photographs have several files; the largest of each is stored"]


# Splits


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
    assert intake.notes == ["flickr8k: 1 photographs are in several official lists; the strictest counts"]


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
    told = f"{counts['validation']} for validation and {counts['test']} for test"
    assert f"the 1,000 for validation were divided into {told}" in intake.notes[0]
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


def test_hash_split_gives_the_shares_and_never_changes():
    counts = Counter(hash_split(f"flickr:{n}") for n in range(20_000))
    for split, share in zip(SPLITS, SHARES):
        assert counts[split] / 20_000 == pytest.approx(share, abs=0.01)  # three standard deviations
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
    assert "1 of 2 lines name no photograph" in intake.notes[-1]


def test_a_hold_out_list_of_other_photographs_is_refused(tmp_path):
    (tmp_path / "list.txt").write_text("nobody.jpg\nno one.jpg\n")
    with pytest.raises(ValueError, match="not one of its 2 lines names a photograph"):
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


def listed_flickr(numbers: Iterable[int], split: str) -> list[Item]:
    names = [f"flickr:{n}" for n in numbers]
    return [i for name in names for i in (picture(name), text(name), Listed(name, split, f"{split}.txt:1"))]


def test_without_validation_photographs_some_of_training_become_such(tmp_path):
    """The whole dev list is held out, and there are no official test photographs."""
    (tmp_path / "dev.txt").write_text("".join(f"{n}.jpg\n" for n in range(1000, 1020)))
    train, dev = listed_flickr(range(600), "train"), listed_flickr(range(1000, 1020), "validation")
    intake = take_in({"flickr8k": train + dev}, tmp_path / "dev.txt")
    found = splits(intake)
    assert {found[f"flickr:{n}"] for n in range(1000, 1020)} == {"test"}
    moved = {name for name, split in found.items() if split == "validation"}
    assert 30 < len(moved) < 70 and Counter(found.values())["train"] == 600 - len(moved)
    assert intake.notes[-1].startswith(f"there were no validation photographs; {len(moved)} of the 600 for training")
    # Databases of two versions must agree, so the hash is part of the format.
    assert sorted(int(name[7:]) for name in moved if int(name[7:]) < 60) == [17, 18, 50, 55]

    fewer = splits(take_in({"flickr8k": listed_flickr(range(300), "train") + dev}, tmp_path / "dev.txt"))
    assert {name for name, split in fewer.items() if split == "validation"} == moved & set(fewer), "each for itself"
    without = splits(take_in({"flickr8k": train + dev}))
    assert Counter(without.values()) == {"train": 600, "validation": 10, "test": 10}, "nothing is amiss"


def test_copies_stay_together_where_training_photographs_become_validation():
    intake = take_in({"flickr8k": listed_flickr(range(200), "train")})
    intake.join_copies([(rank, rank + 100) for rank in range(1, 101)])
    split_of = {row.rank: row.split for row in intake.rows(1, 200)}
    assert all(split_of[rank] == split_of[rank + 100] for rank in range(1, 101))
    assert 0 < Counter(split_of.values())["validation"] < 50


def test_a_validation_photograph_that_cannot_be_used_is_none():
    intake = take_in({"flickr8k": listed_flickr(range(200), "train") + listed_flickr([999], "validation")})
    (lost,) = (photograph.rank for name, photograph in photographs(intake).items() if name == "flickr:999")
    intake.lose(lost, {"flickr8k": "truncated"})
    intake.join_copies([])
    counts = Counter(row.split for row in intake.rows(1, 201))
    assert 5 < counts["validation"] < 50 and counts.total() == 200


# Copies


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
    intake.join_copies([(1, 3)], lambda i, j: 2)
    rows = {row.rank: row for row in intake.rows(1, 9)}
    assert rows[1].guests == (3,) and 3 not in rows
    assert intake.kept_texts(3) == [(True, False), (True, True)], "a dog is there already, a cat is new"
    assert ("flickr8k", "b:3", "the same text as of the same picture in another dataset") in reasons(intake)
    assert intake.overlaps["by picture"] == [
        {"photographs": ["flickr30k/1.jpg", "flickr8k/3.jpg"], "differing bits": 2, "stored as": "one row"}
    ]


def test_copies_within_a_source_keep_their_rows_in_one_group_and_one_split():
    intake = copies()
    intake.join_copies([(3, 4)])
    rows = {row.rank: row for row in intake.rows(1, 9)}
    assert rows[3].group == rows[4].group == "flickr:3"
    assert rows[3].split == rows[4].split == "validation"
    assert intake.overlaps["by picture"][0]["stored as"] == "two rows of one group"


def test_a_chain_of_copies_is_one_group_and_each_guest_goes_to_its_nearest_host():
    intake = copies()
    apart = {(1, 2): 9, (1, 3): 7, (2, 3): 1, (1, 4): 2, (2, 4): 8, (3, 4): 0, (1, 6): 3}
    intake.join_copies([(1, 2), (1, 3), (4, 3), (1, 6)], lambda i, j: apart.get((i, j)))
    rows = {row.rank: row for row in intake.rows(1, 9)}
    assert {rank: row.guests for rank, row in rows.items()} == {1: (4, 6), 2: (3,), 5: (), 7: ()}
    assert {rows[rank].group for rank in (1, 2)} == {"flickr:1"} and {row.split for row in (rows[1], rows[2])} == {
        "validation"
    }


def test_the_ends_of_a_chain_that_are_not_equal_keep_their_rows():
    """1 and 6 are each equal to 3, but not to one another: their texts must not be told of one picture."""
    intake = copies()
    intake.join_copies([(1, 3), (3, 6)], lambda i, j: None if (i, j) == (1, 6) else 31)
    rows = {row.rank: row for row in intake.rows(1, 9)}
    assert (rows[1].guests, rows[6].guests) == ((3,), ())
    assert rows[1].group == rows[6].group == "flickr:1"


def test_a_guests_texts_are_compared_with_those_of_earlier_guests():
    sources = {name: [picture(f"{name}:1"), text(f"{name}:1", words, f"{name}:1")] for name, words in
               (("a", "one"), ("b", "two"), ("c", "Two."))}  # fmt: skip
    intake = take_in(sources)
    intake.join_copies([(1, 2), (1, 3)])
    assert [row.guests for row in intake.rows(1, 3)] == [(2, 3)]
    assert [intake.kept_texts(rank) for rank in (2, 3)] == [[(True, True)], [(True, False)]]


# Counts

SOURCES = ("coco", "flickr8k", "pairs")
identities = st.sampled_from([f"{kind}:{n}" for kind in ("coco", "flickr", "pairs") for n in range(4)])
items = st.one_of(
    st.builds(picture, identities, st.sampled_from(["a.jpg", "b.jpg"]), st.sampled_from([None, *SPLITS])),
    st.builds(
        text,
        identities,
        st.sampled_from(["a dog", "A dog.", "a cat", "", "."]),
        st.sampled_from(["f:1", "g:1", "g:2"]),
        st.sampled_from(["caption", "narrative"]),
        st.booleans(),
    ),
    st.builds(Listed, identities, st.sampled_from(SPLITS), st.just("l:1")),
    st.builds(LeftOut, st.just("line"), st.just("f:9"), st.just("no tab"), st.integers(0, 3), st.integers(0, 3)),
)


@given(st.lists(st.tuples(st.sampled_from(SOURCES), items), max_size=40), st.data())
def test_seen_is_stored_plus_left_out_whatever_comes(pairs, data):
    intake = take_in({name: [item for source, item in pairs if source == name] for name in SOURCES})
    found = photographs(intake)
    ranks = range(1, len(found) + 1)
    lost = data.draw(st.sets(st.sampled_from(ranks))) if found else set()
    for rank in lost:
        intake.lose(rank, {"coco": "the file has vanished"})
    rank_pairs = st.tuples(st.sampled_from(ranks), st.sampled_from(ranks)).filter(lambda p: p[0] < p[1])
    alike = data.draw(st.sets(rank_pairs, max_size=4)) if len(found) > 1 else set()
    intake.join_copies((i, j) for i, j in alike if not {i, j} & lost)
    texts = {photograph.rank: photograph.texts for photograph in found.values()}
    stored = Counter[str]()
    rows = intake.rows(1, len(found))
    for row in rows:
        stored.update(t.source for t in texts[row.rank])
        for guest in row.guests:
            stored.update(t.source for t, (_, kept) in zip(texts[guest], intake.kept_texts(guest)) if kept)
    for name in SOURCES:
        counts = intake.account(name, stored[name])  # asserts that they add up
        own = [item for source, item in pairs if source == name]
        assert counts["captions"]["seen"] == sum(isinstance(i, Text) for i in own) + sum(
            i.captions for i in own if isinstance(i, LeftOut)
        )
        assert sum(intake.splits(name).values()) == counts["photographs"]["stored"]
    groups: dict[str, set[str]] = {}
    for row in rows:
        groups.setdefault(row.group, set()).add(row.split)
    assert all(len(found) == 1 for found in groups.values()), "one group, one split"
    assert sum(intake.splits().values()) == len(rows)
