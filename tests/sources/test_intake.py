"""Items joined by photograph: one photograph is one row, and everything that is left out is counted."""

import os
import unicodedata

import pytest
from intakes import join, photographs, picture, reasons, splits, take_in, text
from raw_files import write

from common.regions import Region
from sources.ade20k import ade20k_identity
from sources.flickr import flickr_identity
from sources.intake import LONGEST_CAPTION, caption_problem
from sources.items import Grounded, Listed, Picture
from sources.manifest import account


def test_a_photograph_has_the_texts_of_all_sources():
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
    """A text that is twice in one file stays twice: published protocols count all five captions."""
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


def test_pictures_without_text_and_texts_without_picture_are_left_out_once():
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


def test_a_file_whose_name_is_not_utf8_is_reported(tmp_path):
    odd = Picture("flickr:x", "x", tmp_path / os.fsdecode(b"caf\xe9.jpg"))
    intake = take_in({"flickr8k": [odd, picture("flickr:1"), text("flickr:1")]})
    (entry,) = intake.left_out()
    assert entry["where"].endswith("caf\\xe9.jpg") and entry["photographs"] == 1
    join(intake, [])
    assert account(intake, "flickr8k", 1)["photographs"] == {"seen": 2, "stored": 1, "left_out": 1}


def test_texts_about_a_dataset_that_was_not_given_are_one_entry():
    narratives = [text(f"coco:{n}", where=f"n:{n}", kind="narrative") for n in range(50)]
    narratives += [text("ade20k:a", where="n:60"), text("ade20k:b", where="n:61")]
    intake = take_in({"ade20k": [picture("ade20k:a")], "narratives": narratives})
    entries = list(intake.left_out())
    assert [(e["what"], e["where"], e["captions"], e["photographs"]) for e in entries] == [
        ("picture", "n:61", 1, 1),
        ("collection", "coco", 50, 50),
    ]
    assert entries[1]["reason"] == "describes pictures of coco, but no folder of coco was given"


@pytest.mark.parametrize(
    ("caption", "problem"),
    [
        ("", "the caption is empty"),
        (". ,", "the caption '. ,' contains no word"),
        ("x" * (LONGEST_CAPTION + 1), "the caption has 10,001 characters; the limit is 10,000"),
        ("a dog", None),
        ("犬", None),
    ],
)
def test_captions_that_cannot_be_used(caption, problem):
    intake = take_in({"coco": [picture("coco:1"), text("coco:1", caption, "c:1"), text("coco:1", "a cat", "c:2")]})
    assert reasons(intake) == ([("coco", "c:1", problem)] if problem else [])
    assert len(photographs(intake)["coco:1"].texts) == (1 if problem else 2)
    assert caption_problem("a dog", 2) is None


def test_markup_of_web_pages_is_removed_and_counted():
    raw = "A red&nbsp;ball &amp; a <b>wall</b><br/>see https://example.org/x.jpg"
    box = ((0.1, 0.2, 0.3, 0.4),)
    regions = tuple(Region(raw.index(word), raw.index(word) + len(word), box) for word in ("red&nbsp;ball", "wall"))
    items = [text("coco:1", raw, "c:1")._replace(regions=regions), text("coco:1", "a <3 & b", "c:2")]
    items.append(text("coco:1", "<br/>&nbsp;", "c:3"))
    intake = take_in({"coco": [picture("coco:1"), *items], "flickr8k": [picture("flickr:1"), text("flickr:1")]})
    stored, other = photographs(intake)["coco:1"].texts
    assert (stored.text, other.text) == ("A red ball & a wall see", "a <3 & b")
    assert [stored.text[region.start : region.end] for region in stored.regions] == ["red ball", "wall"]
    assert intake.with_markup == {"coco": 1}
    assert reasons(intake) == [("coco", "c:3", "the caption '<br/>&nbsp;' contains no word")]


def test_sentences_with_markup_give_their_regions_to_the_caption():
    raw, box = "A&nbsp;dog &amp; a cat", ((0.1, 0.2, 0.3, 0.4),)
    sentence = Grounded("flickr:1", raw, (Region(raw.index("dog"), raw.index("dog") + 3, box),), "s:1")
    intake = take_in({"flickr8k": [picture("flickr:1"), text("flickr:1", "A dog & a cat"), sentence]})
    (stored,) = photographs(intake)["flickr:1"].texts
    assert stored.regions == (Region(2, 5, box),) and intake.with_markup["flickr8k"] == 1


def test_names_of_pictures_compare_as_nfc(tmp_path):
    apart = unicodedata.normalize("NFD", "caf\u00e9")
    for identify, kind in ((flickr_identity, "flickr"), (ade20k_identity, "ade20k")):
        assert identify(f"{apart}.jpg") == f"{kind}:caf\u00e9"
    write(tmp_path, {"list.txt": f"{apart}.jpg\n".encode()})
    items = [picture("pairs:1", f"{apart}.jpg"), text("pairs:1")]
    assert splits(take_in({"pairs": items}, tmp_path / "list.txt")) == {"pairs:1": "test"}
    assert photographs(take_in({"pairs": items}))["pairs:1"].files[0].image_id == "caf\u00e9.jpg"


def test_each_source_has_its_own_reason():
    sources = {
        "flickr30k": [picture("flickr:1", "1.jpg"), text("flickr:1")],
        "flickr8k": [picture("flickr:1", "1_a.jpg"), text("flickr:1", "a cat", "t:1")],
        "narratives": [text("flickr:1", "we see a cat", "n:1", "narrative")],
    }
    intake = take_in(sources)
    intake.leave_out_photograph(1, {"flickr30k": "the file is empty", "flickr8k": "the file is damaged"})
    assert [(source, reason) for source, _, reason in reasons(intake)] == [
        ("flickr30k", "the file is empty"),
        ("flickr8k", "the file is damaged"),
        ("narratives", "the file is empty"),
    ]


def test_a_folder_that_was_given_but_holds_no_such_picture_is_not_called_absent():
    intake = take_in({"coco": [text("coco:4", where="c:4")]})
    assert reasons(intake) == [("coco", "c:4", "there is no picture of coco:4 in the folders that were read")]


def test_several_files_of_one_photograph_in_one_source_are_noted():
    intake = take_in({"coco": [picture("coco:1", "a.jpg"), picture("coco:1", "b.jpg"), text("coco:1")]})
    assert intake.notes == ["coco: 1 photographs have several files; the largest of each is stored"]
