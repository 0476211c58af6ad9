"""SugarCrepe and SugarCrepe++: exactly the claims of their files."""

import json

import pytest
from claims import broken, whole, write

from evaluation.benchmarks import Claim, read_benchmark
from evaluation.benchmarks.figures import pairwise_figures
from sources.items import LeftOut

SWAPPED = {
    "filename": "000000085329.jpg",
    "caption": 'A "big" dog, a café and a small cat.',
    "negative_caption": 'A "small" dog, a café and a big cat.',
}


def test_sugarcrepe(tmp_path):
    added = {"filename": "000000000009.jpg", "caption": "A meal. ", "negative_caption": "A meal and a fork."}
    write(
        tmp_path,
        {"swap_att.json": {"0": SWAPPED, "7": SWAPPED}, "add_obj.json": {"0": added}, "other.json": ["not read"]},
    )
    found = read_benchmark(f"sugarcrepe={tmp_path}")
    assert (found.benchmark.name, found.benchmark.figures) == ("sugarcrepe", pairwise_figures)
    assert whole(found) == [
        Claim("000000000009.jpg", "A meal.", 1, "add_obj", 0),
        Claim("000000000009.jpg", "A meal and a fork.", 0, "add_obj", 0),
        Claim("000000085329.jpg", SWAPPED["caption"], 1, "swap_att", 1),
        Claim("000000085329.jpg", SWAPPED["negative_caption"], 0, "swap_att", 1),
        Claim("000000085329.jpg", SWAPPED["caption"], 1, "swap_att", 2),
        Claim("000000085329.jpg", SWAPPED["negative_caption"], 0, "swap_att", 2),
    ]
    absent = {each.where for each in found.left_out if each.what == "collection"}
    assert absent == {f"{name}.json" for name in ("add_att", "replace_att", "replace_obj", "replace_rel", "swap_obj")}
    single = whole(read_benchmark(f"sugarcrepe={tmp_path / 'swap_att.json'}"))
    assert single == [claim._replace(unit=claim.unit - 1) for claim in found.claims[2:]]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"filename": "1.jpg", "caption": "A dog."}, "lacks negative_caption"),
        ({**SWAPPED, "filename": ""}, "filename is empty"),
        ({**SWAPPED, "caption": " \n"}, "caption is empty"),
        ({**SWAPPED, "caption": None}, "caption is not a text"),
        ({**SWAPPED, "negative_caption": ["A cat."]}, "negative_caption is not a text"),
        ({**SWAPPED, "caption": "half of \ud83d"}, "caption is not UTF-8"),
        ("A dog.", "not a JSON object"),
        (None, "not a JSON object"),
    ],
)
def test_a_broken_record_of_sugarcrepe_is_reported_and_the_rest_is_kept(tmp_path, record, reason):
    write(tmp_path, {"swap_att.json": {"0": record, "1": SWAPPED}})
    found = read_benchmark(f"sugarcrepe={tmp_path}")
    assert broken(found) == [LeftOut("line", "swap_att.json:0", reason, captions=2)]
    assert [claim.unit for claim in found.claims] == [0, 0]


def test_a_byte_that_is_not_utf_8_breaks_only_its_record(tmp_path):
    record = json.dumps(SWAPPED).encode()
    spoilt = record.replace(b"small cat", b"small c\xe4t")
    write(tmp_path, {"swap_att.json": b'\xef\xbb\xbf{"0": ' + spoilt + b', "1": ' + record + b"}"})
    found = read_benchmark(f"sugarcrepe={tmp_path}")
    assert broken(found) == [LeftOut("line", "swap_att.json:0", "caption is not UTF-8", captions=2)]
    assert [claim.text for claim in found.claims] == [SWAPPED["caption"], SWAPPED["negative_caption"]]


TRIPLE = {**SWAPPED, "caption2": "A small cat, a café and a big dog."}


def test_sugarcrepe_pp_has_three_claims_a_unit_and_leaves_other_files_out(tmp_path):
    """Lists and objects are read. croissant.json, which the authors publish too, is left out."""
    write(
        tmp_path,
        {
            "swap_att.json": [TRIPLE, SWAPPED],
            "sugarcrepe_pp_swap_obj.json": {"3": TRIPLE},
            "croissant.json": {"@context": {}, "name": "SugarCrepe++"},
            "empty.json": [],
            "notes.txt": "not read",
        },
    )
    found = read_benchmark(f"sugarcrepe++={tmp_path}")
    texts = [(TRIPLE["caption"], 1), (TRIPLE["caption2"], 1), (TRIPLE["negative_caption"], 0)]
    assert found.claims == [
        Claim("000000085329.jpg", text, label, subset, unit)
        for unit, subset in enumerate(["sugarcrepe_pp_swap_obj", "swap_att"])
        for text, label in texts
    ]
    assert (found.benchmark.name, found.benchmark.figures) == ("sugarcrepe++", pairwise_figures)
    assert found.left_out == [
        LeftOut("collection", "croissant.json", "no record fits: lacks filename"),
        LeftOut("collection", "empty.json", "no record fits: it is empty"),
        LeftOut("line", "swap_att.json:[1]", "lacks caption2", captions=3),
    ]
    assert len(whole(read_benchmark(f"sugarcrepe++={tmp_path / 'sugarcrepe_pp_swap_obj.json'}"))) == 3
