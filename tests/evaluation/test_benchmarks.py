"""External benchmarks: each format gives exactly its claims; what is broken is told, and stops nothing."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluation.benchmarks import (
    READERS,
    WORD,
    Benchmark,
    Claim,
    PictureFinder,
    _changed_part,
    find_picture,
    identity_of,
    read_benchmark,
)
from sources.readers import LeftOut

# Files are written anew for each example, on a machine that may be busy.
UNHURRIED = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def write(folder: Path, files: dict[str, Any]) -> Path:
    """Files below a folder: bytes and text as they are, a list of text as lines, anything else as JSON."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, bytes):
            content = (content if isinstance(content, str) else json.dumps(content)).encode()
        path.write_bytes(content)
    return folder


def lines(*rows: str | bytes) -> bytes:
    return b"\n".join(row if isinstance(row, bytes) else row.encode() for row in rows) + b"\n"


def whole(found: Benchmark) -> list[Claim]:
    """The claims of a benchmark without a broken record."""
    assert broken(found) == []
    return found.claims


def broken(found: Benchmark) -> list[LeftOut]:
    """What is left out, but for the files of SugarCrepe that a test's folder lacks."""
    return [each for each in found.left_out if "is not in the folder" not in each.reason]


def marked(claim: Claim) -> list[str]:
    return [claim.text[start:end] for start, end in claim.changed]


# SugarCrepe

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
    assert (found.name, found.metric, found.tau) == ("sugarcrepe", "pairwise", None)
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
        ({**SWAPPED, "caption": None}, "caption is no text"),
        ({**SWAPPED, "negative_caption": ["A cat."]}, "negative_caption is no text"),
        ({**SWAPPED, "caption": "half of \ud83d"}, "caption is not UTF-8"),
        ("A dog.", "no JSON object"),
        (None, "no JSON object"),
    ],
)
def test_a_broken_record_of_sugarcrepe_is_told_and_the_rest_is_kept(tmp_path, record, reason):
    write(tmp_path, {"swap_att.json": {"0": record, "1": SWAPPED}})
    found = read_benchmark(f"sugarcrepe={tmp_path}")
    assert broken(found) == [LeftOut("line", "swap_att.json:0", reason, captions=2)]
    assert [claim.unit for claim in found.claims] == [0, 0]


def test_a_byte_that_is_no_utf_8_spoils_its_record_only(tmp_path):
    record = json.dumps(SWAPPED).encode()
    spoilt = record.replace(b"small cat", b"small c\xe4t")
    write(tmp_path, {"swap_att.json": b'\xef\xbb\xbf{"0": ' + spoilt + b', "1": ' + record + b"}"})
    found = read_benchmark(f"sugarcrepe={tmp_path}")
    assert broken(found) == [LeftOut("line", "swap_att.json:0", "caption is not UTF-8", captions=2)]
    assert [claim.text for claim in found.claims] == [SWAPPED["caption"], SWAPPED["negative_caption"]]


TRIPLE = {**SWAPPED, "caption2": "A small cat, a café and a big dog."}


def test_sugarcrepe_pp_has_three_claims_a_unit_and_passes_by_other_files(tmp_path):
    """Its authors' files are lists; both kinds are read. croissant.json lies beside them."""
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
    assert (found.name, found.metric) == ("sugarcrepe++", "pairwise")
    assert found.left_out == [
        LeftOut("collection", "croissant.json", "not one record fits: lacks filename"),
        LeftOut("collection", "empty.json", "not one record fits: it is empty"),
        LeftOut("line", "swap_att.json:[1]", "lacks caption2", captions=3),
    ]
    assert len(whole(read_benchmark(f"sugarcrepe++={tmp_path / 'sugarcrepe_pp_swap_obj.json'}"))) == 3


# FOIL and VALSE


def foil(number: int, image: int, caption: str, word: str = "ORIG", target: str = "ORIG", **ids: Any) -> dict[str, Any]:
    """An annotation of FOIL with all its keys."""
    is_foil = word != "ORIG"
    told = {"id": number, "image_id": image, "caption": caption, "foil": is_foil}
    return {**told, "foil_word": word, "target_word": target, **ids}


def foil_file(*annotations: Any, images: Any = None) -> dict[str, Any]:
    head = {"info": {"version": "1.0"}, "licenses": [], **({} if images is None else {"images": images})}
    return {**head, "annotations": list(annotations)}


def test_foil(tmp_path):
    content = foil_file(
        foil(1, 391895, "A man, on a motorcycle.", foil_id=10),
        foil(2, 391895, "A man, on a bicycle.", "bicycle", "motorcycle", foil_id=10),
        foil(3, 391895, "A man, on a bus.", "bus", "motorcycle", foil_id=10),
        foil(4, 522418, "A dog beside a dog.", foil_id=10),  # the same number, another picture
        foil(5, 522418, "A Cat beside a cat.", "cat", "dog", foil_id=10),
        foil(6, 9, "A naïve “meal”.", foil_id=11),
        images=[{"id": 391895, "file_name": "some/391895.jpg"}, {"id": [9], "file_name": "9.jpg"}, 7],
    )
    write(tmp_path, {"foilv1.0_test_2017.json": content})
    found = read_benchmark(f"foil={tmp_path / 'foilv1.0_test_2017.json'}")
    assert (found.name, found.metric) == ("foil", "pairwise")
    first, second, third = "some/391895.jpg", "COCO_val2014_000000522418.jpg", "COCO_val2014_000000000009.jpg"
    assert whole(found) == [
        Claim(first, "A man, on a motorcycle.", 1, "", 0),
        Claim(first, "A man, on a bicycle.", 0, "", 0, ((12, 19),)),
        Claim(first, "A man, on a bus.", 0, "", 0, ((12, 15),)),
        Claim(second, "A dog beside a dog.", 1, "", 1),
        Claim(second, "A Cat beside a cat.", 0, "", 1, ((2, 5), (15, 18))),
        Claim(third, "A naïve “meal”.", 1, "", 2),
    ]


def test_foils_are_joined_by_id_where_that_joins_more(tmp_path):
    """In the authors' file `id` is that of COCO's caption; a program may have numbered either."""
    by_id = foil_file(
        foil(1, 9, "A dog.", foil_id=1),
        foil(1, 9, "A cat.", "cat", "dog", foil_id=2),
        foil(2, 9, "A red bus.", foil_id=3),
        foil(2, 9, "A red car.", "car", "bus", foil_id=4),
    )
    write(tmp_path, {"by_id.json": by_id})
    assert [claim.unit for claim in whole(read_benchmark(f"foil={tmp_path / 'by_id.json'}"))] == [0, 0, 1, 1]
    for annotation in by_id["annotations"]:
        annotation["foil_id"] = 5  # now both join all, and foil_id comes first
    write(tmp_path, {"by_id.json": by_id})
    assert [claim.unit for claim in whole(read_benchmark(f"foil={tmp_path / 'by_id.json'}"))] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("original", "caption", "word", "target", "words"),
    [
        ("A dog and a cat.", "A cat and a cat.", "cat", "dog", [(2, 5)]),  # the second was there before
        ("A cat, a dog, a cat, a dog.", "A cat, a cat, a cat, a cat.", "cat", "dog", [(9, 12), (23, 26)]),
        ("A cat, a dog, a dog.", "A cat, a Cat, a dog.", "cat", "dog", [(9, 12)]),  # not all were replaced
        ("A dog and a cat.", "A cat and a cat.", "cat", None, [(2, 5)]),
        ("A cat.", "A cat.", "cat", "dog", []),
        ("A train.", "A hot dog.", "hot dog", "train", [(2, 9)]),
        ("A dog, a hot dog.", "A hot dog, a hot dog.", "hot dog", "dog", [(2, 9)]),
        ("A dog.", "A caterpillar.", "cat", "dog", []),
        ("A dog.", "A cat.", "bird", "dog", []),
        ("A dog.", "A C.A.T (cat).", "C.A.T", "dog", [(2, 7)]),  # no pattern
        ("Ein Hund.", "Ein Käfer.", "käfer", "Hund", [(4, 9)]),
        ("A dog.", "A cat.", "", "dog", []),
        (None, "A cat and a cat.", "cat", "dog", [(2, 5), (12, 15)]),
    ],
)
def test_the_false_word_of_a_foil_is_found_where_it_is_new(tmp_path, original, caption, word, target, words):
    annotations = [{**foil(1, 9, caption, word, target, foil_id=1), "foil": True}]
    annotations += [] if original is None else [foil(2, 9, original, foil_id=1)]
    write(tmp_path, {"f.json": foil_file(*annotations)})
    assert whole(read_benchmark(f"foil={tmp_path / 'f.json'}"))[0].changed == tuple(words)


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ({"image_id": 9, "foil": True, "foil_word": "cat"}, "lacks caption"),
        (foil(1, 9, "  ", foil_id=1), "caption is empty"),
        (foil(1, 9, 7, foil_id=1), "caption is no text"),
        (foil(1, "9", "A dog.", foil_id=1), "image_id is no number"),
        (foil(1, True, "A dog.", foil_id=1), "image_id is no number"),
        ({**foil(1, 9, "A dog.", foil_id=1), "foil": "yes"}, "foil is neither true nor false"),
        ("A dog.", "no JSON object"),
    ],
)
def test_a_broken_annotation_of_foil_is_told_and_the_rest_is_kept(tmp_path, annotation, reason):
    good = foil(1, 9, "A dog.", foil_id=1)
    write(tmp_path, {"foilv1.0_TRAIN.json": foil_file(good, annotation, foil(2, 9, "A cat.", "cat", "dog"), good)})
    found = read_benchmark(f"foil={tmp_path / 'foilv1.0_TRAIN.json'}")
    assert found.left_out == [LeftOut("line", "foilv1.0_TRAIN.json:annotations[1]", reason, captions=1)]
    assert {claim.picture for claim in found.claims} == {"COCO_train2014_000000000009.jpg"}
    assert [(claim.label, claim.unit) for claim in found.claims] == [(1, 0), (0, 1), (1, 0)]  # one has no foil_id


@pytest.mark.parametrize("cut", [30, 120, -3])
def test_a_foil_file_that_is_cut_off_is_refused_in_one_line(tmp_path, cut):
    content = json.dumps(foil_file(foil(1, 9, "A dog.", foil_id=1), images=[{"id": 9, "file_name": "9.jpg"}]))
    write(tmp_path, {"f.json": content[:cut]})
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'f.json'} is damaged or cut off")) as refusal:
        read_benchmark(f"foil={tmp_path / 'f.json'}")
    assert "\n" not in str(refusal.value)


def valse(caption: Any, false: Any, votes: Any = 3, **more: Any) -> dict[str, Any]:
    """A record of VALSE; votes: how many annotators chose the caption."""
    told = {
        "dataset": "VisDial_v1.0",
        "original_split": "val2018",
        "dataset_idx": 1,
        "image_file": "V_000000185565.jpg",
    }
    return {**told, "caption": caption, "foil": false, "mturk": {"foil": 0, "caption": votes, "other": 0}, **more}


def test_valse(tmp_path):
    first = valse("There are no people, he says.", "There are people, he says.", linguistic_phenomena="existence")
    content = {
        "a": first,
        "b": valse("A small copper vase.", "A small copper vases, or two.", votes=2, linguistic_phenomena="plurals"),
        "c": valse("A dog.", "A cat.", votes=1),
        "d": valse("A dog.", "A cat.", votes=0),
        "e": {"image_file": "9.jpg", "caption": ["A man shouts at a woman."], "foils": ["A woman shouts at a man."]},
        "f": valse("A dog.", "A cat.", votes="many"),
        "g": valse("A dog.", ""),
        "h": valse("A dog.", "A cat.", mturk=3),
    }
    write(tmp_path, {"existence.json": content})
    found = read_benchmark(f"foil={tmp_path / 'existence.json'}")
    assert [(c.picture, c.text, c.label, c.subset, c.unit) for c in found.claims] == [
        ("V_000000185565.jpg", "There are no people, he says.", 1, "existence", 0),
        ("V_000000185565.jpg", "There are people, he says.", 0, "existence", 0),
        ("V_000000185565.jpg", "A small copper vase.", 1, "plurals", 1),
        ("V_000000185565.jpg", "A small copper vases, or two.", 0, "plurals", 1),
        ("9.jpg", "A man shouts at a woman.", 1, "", 2),
        ("9.jpg", "A woman shouts at a man.", 0, "", 2),
    ]
    assert [marked(claim) for claim in found.claims[1::2]] == [[], ["vases, or two"], ["woman shouts at a man"]]
    assert not any(claim.changed for claim in found.claims[::2])
    assert found.left_out == [
        LeftOut("line", "existence.json:f", "mturk has no count of caption", captions=2),
        LeftOut("line", "existence.json:g", "foil is empty", captions=2),
        LeftOut("line", "existence.json:h", "mturk has no count of caption", captions=2),
        LeftOut("collection", "existence.json:mturk", "2 records that fewer than two annotators confirmed", captions=4),
    ]


def test_a_folder_of_foils_has_a_subset_for_each_file(tmp_path):
    write(
        tmp_path,
        {
            "actant-swap.json": {"0": valse("A dog.", "A cat.", linguistic_phenomena="actions")},
            "foil-it.json": foil_file(foil(1, 9, "A dog.", foil_id=1), foil(2, 9, "A cat.", "cat", "dog", foil_id=1)),
            "other.json": {"setting": 5},
        },
    )
    found = read_benchmark(f"foil={tmp_path}")
    assert [(claim.subset, claim.unit) for claim in found.claims] == [("actant-swap", 0)] * 2 + [("foil-it", 1)] * 2
    assert found.left_out == [LeftOut("collection", "other.json", "not one record fits: no JSON object")]


WORDS = st.lists(st.sampled_from(["a", "dog", "Dog", "café", ",", "3"]), max_size=8)


@given(before=WORDS, after=WORDS)
def test_what_lies_outside_of_the_changed_part_is_the_captions(before, after):
    caption, foil_text = " ".join(before), " ".join(after)
    spans = _changed_part(caption, foil_text)
    old, new = [w.casefold() for w in WORD.findall(caption)], [w.casefold() for w in WORD.findall(foil_text)]
    if not spans:
        assert len(new) <= len(old) and (new == old or len(new) < len(old))
        return
    ((start, end),) = spans
    head, tail = WORD.findall(foil_text[:start].casefold()), WORD.findall(foil_text[end:].casefold())
    assert old[: len(head)] == head and old[len(old) - len(tail) :] == tail
    assert foil_text[start:end].strip() == foil_text[start:end] != ""


# Winoground


def wino(**more: Any) -> dict[str, Any]:
    told = {
        "id": 0,
        "image_0": "ex_0_img_0",
        "image_1": "ex_0_img_1",
        "caption_0": "an old, “wise” person kisses a young",
    }
    return {**told, "caption_1": "a young person kisses an old, “wise”", "tag": "Adjective-Age", **more}


def test_winoground(tmp_path):
    rows = [
        wino(collapsed_tag="Object"),
        wino(caption_1=" "),
        wino(image_0=None),
        {key: value for key, value in wino().items() if key != "image_1"},
        [1],
        wino(),
    ]
    write(tmp_path, {"examples.jsonl": lines(*map(json.dumps, rows), b'{"image_0": "\xe4"}', "{")})
    found = read_benchmark(f"winoground={tmp_path / 'examples.jsonl'}")
    assert (found.name, found.metric) == ("winoground", "winoground")
    first, second = wino()["caption_0"], wino()["caption_1"]
    assert found.claims == [
        Claim(f"ex_0_img_{picture}", text, label, subset, unit)
        for unit, subset in enumerate(["Object", "Adjective-Age"])
        for picture, text, label in ((0, first, 1), (1, second, 1), (0, second, 0), (1, first, 0))
    ]
    assert [(told.where, told.captions) for told in found.left_out] == [
        (f"examples.jsonl:{n}", 4) for n in (2, 3, 4, 5, 7, 8)
    ]
    reasons = [
        "caption_1 is empty",
        "image_0 is no text",
        "lacks image_1",
        "no JSON object",
        "not JSON: ",
        "not JSON: ",
    ]
    assert all(told.reason.startswith(reason) for told, reason in zip(found.left_out, reasons))


# Judgements of Flickr8k

A, B = "1056338697_4f7d7ce270.jpg", "2549968784_39bfbe44f9.jpg"
ODD = "2258277193_586949ec62.jpg"
TOKENS = lines(
    f'{A}#0\tA blonde woman, in a "blue" shirt .',
    f"{B}#2\tTrois chevaux près d'une clôture .",
    f"{ODD}.1#0\tA dog runs .",
    f"{B}\tno number",
    b"x.jpg#0\tK\xe4fer",
    f"{B}#3",
)
TOKENS_LEFT_OUT = [
    LeftOut("line", "Flickr8k.token.txt:4", f"expected name.jpg#number, a tab and a caption: '{B}'"),
    LeftOut("line", "Flickr8k.token.txt:5", "not UTF-8: byte 0xe4 at position 9"),
    LeftOut("line", "Flickr8k.token.txt:6", f"expected name.jpg#number, a tab and a caption: '{B}#3'"),
]


def test_flickr8k_expert(tmp_path):
    annotations = lines(
        f"{A}\t{B}#2\t1\t1\t2",
        f"{A}\t{A}#0\t4\t4\t4",  # its own caption
        f"{B}\t{A}#0\t1\t3\t4\r",
        f"{A}\t{B}#2\t1\t1",
        f"{A}\t{B}#2\t1\t5\t1",
        f"{A}\t{B}#2\t1\t2.5\t1",
        f"{A}\t{B}#4\t1\t1\t1",
        f"{A}\t{ODD}#0\t1\t1\t1",
        f"{ODD}\t{ODD}.1#0\t4\t4\t4",  # its own, too
        f"{ODD}\t{B}#2\t1\t1\t1",
        f"\t{B}#2\t1\t1\t1",
        b"\xff",
        "",
        f"{A}\t{B}#2\t1\t1\t2",  # a pair twice
    )
    write(tmp_path, {"Flickr8k_text/ExpertAnnotations.txt": annotations, "Flickr8k_text/Flickr8k.token.txt": TOKENS})
    found = read_benchmark(f"flickr8k-expert={tmp_path / 'Flickr8k_text' / 'ExpertAnnotations.txt'}")
    assert (found.name, found.metric, found.tau) == ("flickr8k-expert", "ratings", "c")
    woman, horses = 'A blonde woman, in a "blue" shirt .', "Trois chevaux près d'une clôture ."
    assert found.claims == [
        *(Claim(A, horses, label, "", 0) for label in (1, 1, 2)),
        *(Claim(B, woman, label, "", 1) for label in (1, 3, 4)),
        *(Claim(ODD, horses, label, "", 2) for label in (1, 1, 1)),
        *(Claim(A, horses, label, "", 3) for label in (1, 1, 2)),
    ]
    place = "ExpertAnnotations.txt"
    assert found.left_out == [
        *TOKENS_LEFT_OUT,
        LeftOut("line", f"{place}:4", "expected five fields separated by tabs, got 4", captions=3),
        LeftOut("line", f"{place}:5", "scores are 1 to 4, got ['1', '5', '1']", captions=3),
        LeftOut("line", f"{place}:6", "scores are 1 to 4, got ['1', '2.5', '1']", captions=3),
        LeftOut("line", f"{place}:7", f"Flickr8k.token.txt has no caption '{B}#4'", captions=3),
        LeftOut("line", f"{place}:8", f"Flickr8k.token.txt has no caption '{ODD}#0'", captions=3),
        LeftOut("line", f"{place}:11", "the image is no file name", captions=3),
        LeftOut("line", f"{place}:12", "not UTF-8: byte 0xff at position 0", captions=3),
        LeftOut("collection", f"{place}:own captions", "2 pairs of a picture and one of its own captions", captions=6),
    ]
    for folder in (tmp_path, tmp_path / "Flickr8k_text"):
        assert read_benchmark(f"flickr8k-expert={folder}") == found


def test_flickr8k_cf(tmp_path):
    annotations = lines(
        f"{A}\t{B}#2\t0.3333333333333333\t1\t2",
        f"{A}\t{A}#0\t1\t3\t0",  # its own caption counts here
        f"{A}\t{B}#2\t0\t0\t3",
        f"{A}\t{B}#2\t1.5\t3\t0",
        f"{A}\t{B}#2\tnan\t3\t0",
        f"{A}\t{B}#2\t-\t3\t0",
        f"{A}\t{B}#2",
        f"{A}\tsix\t1\t3\t0",
    )
    write(tmp_path, {"CrowdFlowerAnnotations.txt": annotations, "Flickr8k.token.txt": TOKENS})
    found = read_benchmark(f"flickr8k-cf={tmp_path}")
    assert (found.name, found.metric, found.tau) == ("flickr8k-cf", "ratings", "b")
    assert [(claim.picture, claim.text[:5], claim.label, claim.unit) for claim in found.claims] == [
        (A, "Trois", 1 / 3, 0),
        (A, "A blo", 1, 1),
        (A, "Trois", 0, 2),
    ]
    assert found.left_out[:3] == TOKENS_LEFT_OUT
    assert [told.where for told in found.left_out[3:]] == [f"CrowdFlowerAnnotations.txt:{n}" for n in (4, 5, 6, 7, 8)]
    assert {told.captions for told in found.left_out[3:]} == {1}


@pytest.mark.parametrize("name", ["flickr8k-expert", "flickr8k-cf"])
def test_what_judgements_lack_is_named_with_its_place(tmp_path, name):
    usual = {"flickr8k-expert": "ExpertAnnotations.txt", "flickr8k-cf": "CrowdFlowerAnnotations.txt"}[name]
    with pytest.raises(FileNotFoundError, match=re.escape(f"{usual} is not in {tmp_path}; {name} expects {usual}")):
        read_benchmark(f"{name}={tmp_path}")
    write(tmp_path, {usual: f"{A}\t{B}#2\t1\t1\t1\n"})
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "Flickr8k.token.txt"))):
        read_benchmark(f"{name}={tmp_path}")


# The user's own

OWN = [
    {"image": "a/1.jpg", "caption": 'Two "dogs", running', "label": "yes", "subset": "animals"},
    {"image": "2.jpg", "caption": "Ein Käfer", "label": "0", "subset": ""},
    {"image": "3.jpg", "caption": "A bus", "label": "", "subset": "3"},
]
OWN_CLAIMS = [
    Claim("a/1.jpg", 'Two "dogs", running', 1, "animals", 0),
    Claim("2.jpg", "Ein Käfer", 0, "", 1),
    Claim("3.jpg", "A bus", 1, "3", 2),
]


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    stream = pa.BufferOutputStream()
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue().to_pybytes()


def as_csv(rows: list[dict[str, Any]]) -> str:
    quoted = [['"' + str(value).replace('"', '""') + '"' for value in row.values()] for row in rows]
    return "\n".join(",".join(row) for row in [list(rows[0]), *quoted]) + "\n"


OWN_FORMATS: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "csv": as_csv,
    "tsv": lambda rows: "\n".join("\t".join(map(str, row)) for row in [list(rows[0]), *(r.values() for r in rows)]),
    "jsonl": lambda rows: lines(*map(json.dumps, rows)),
    "parquet": as_parquet,
}


@pytest.mark.parametrize("ending", OWN_FORMATS)
def test_own_pairs(tmp_path, ending):
    write(tmp_path, {f"own.{ending}": OWN_FORMATS[ending](OWN)})
    found = read_benchmark(f"pairs={tmp_path / f'own.{ending}'}")
    assert (found.name, found.metric, whole(found)) == ("pairs", "labels", OWN_CLAIMS)


@pytest.mark.parametrize("ending", OWN_FORMATS)
def test_own_pairs_need_neither_label_nor_subset(tmp_path, ending):
    rows = [{"image": "1.jpg", "caption": f"{n} dogs"} for n in range(3)]
    write(tmp_path, {f"own.{ending}": OWN_FORMATS[ending](rows)})
    found = whole(read_benchmark(f"pairs={tmp_path / f'own.{ending}'}"))
    assert found == [Claim("1.jpg", f"{n} dogs", 1, "", n) for n in range(3)]


def test_a_broken_row_of_own_pairs_is_told_and_keeps_its_number(tmp_path):
    rows: list[Any] = [
        {"image": "1.jpg", "caption": " "},
        {"image": "1.jpg"},
        {"image": "../1.jpg", "caption": "A dog"},
        {"image": "1.jpg", "caption": "A dog", "label": "perhaps"},
        {"image": "1.jpg", "caption": "A dog", "label": False, "subset": None},
        7,
    ]
    write(tmp_path, {"own.jsonl": OWN_FORMATS["jsonl"](rows)})
    found = read_benchmark(f"pairs={tmp_path / 'own.jsonl'}")
    assert found.claims == [Claim("1.jpg", "A dog", 0, "", 4)]
    assert [told.where for told in found.left_out] == [f"own.jsonl:{n}" for n in (1, 2, 3, 4, 6)]
    reasons = [
        "the caption is empty",
        "the caption is no text",
        "the image '../1.jpg'",
        "unknown label",
        "no JSON object",
    ]
    assert all(told.reason.startswith(reason) for told, reason in zip(found.left_out, reasons))


# The flag, and files of another kind


@pytest.mark.parametrize("spec", ["", "sugarcrepe", "crepe=.", "=.", "foil=", "FOIL=."])
def test_a_spec_that_names_no_benchmark_is_refused_with_the_known_names(spec):
    with pytest.raises(ValueError, match=re.escape(", ".join(READERS))) as refusal:
        read_benchmark(spec)
    assert repr(spec) in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", READERS)
def test_a_path_that_is_not_there_is_named(tmp_path, name):
    """The first = ends the name; a path may have others."""
    path = tmp_path / "a=b"
    with pytest.raises(FileNotFoundError, match=re.escape(f"{path} is not there; {name} expects ")):
        read_benchmark(f"{name}={path}")


@pytest.mark.parametrize("name", READERS)
def test_an_empty_folder_is_refused_with_what_is_expected(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=re.escape(f"{tmp_path}") + rf".*; {re.escape(name)} expects "):
        read_benchmark(f"{name}={tmp_path}")


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "content",
    [b"", b"\x89PNG\r\n\x1a\n\0", b"just a text\nof two lines", b"[]", b"{}", b'"text"', b"7", b'{"a\\nb": {"c": 1}}'],
)
def test_a_file_of_another_kind_is_refused_in_one_line(tmp_path, name, content):
    path = tmp_path / ("own.jsonl" if name == "pairs" else "file.json")
    write(tmp_path, {path.name: content, "Flickr8k.token.txt": TOKENS})
    with pytest.raises(ValueError, match=re.escape(str(path))) as refusal:
        read_benchmark(f"{name}={path}")
    told = str(refusal.value)
    assert "\n" not in told and (f"{name} expects " in told or "lacks caption and image" in told)


def test_a_file_of_many_brackets_is_no_json(tmp_path):
    write(tmp_path, {"file.json": b"[" * 100_000})
    with pytest.raises(ValueError, match=r"is no JSON .*; sugarcrepe expects a folder"):
        read_benchmark(f"sugarcrepe={tmp_path / 'file.json'}")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
KEYS = (
    "filename caption caption2 negative_caption image_file foil foils mturk linguistic_phenomena image_id id foil_id "
)
KEYS += "foil_word image_0 image_1 caption_0 caption_1 tag image label subset annotations images"
RECORDS = st.lists(st.dictionaries(st.sampled_from(KEYS.split()), JSON, min_size=2, max_size=8), min_size=1, max_size=3)


@UNHURRIED
@given(name=st.sampled_from(sorted(READERS)), content=st.binary(max_size=60) | RECORDS, as_foil=st.booleans())
def test_no_file_crashes_a_reader(tmp_path, name, content, as_foil):
    """Whatever it holds, it is a benchmark, or it is refused in one line."""
    path = tmp_path / ("own.jsonl" if name in ("pairs", "winoground") else "file.json")
    if isinstance(content, list):
        as_lines = path.suffix == ".jsonl"
        record = {"annotations": content} if as_foil else content
        content = lines(*map(json.dumps, content)) if as_lines else json.dumps(record).encode()
    write(tmp_path, {path.name: content, "Flickr8k.token.txt": TOKENS})
    try:
        found = read_benchmark(f"{name}={path}")
    except ValueError as refusal:
        assert len(str(refusal).splitlines()) == 1
        return
    assert found.claims
    for claim in found.claims:
        assert claim.text == claim.text.strip() != "" and claim.picture
        assert all(0 <= start < end <= len(claim.text) for start, end in claim.changed)


# Photographs


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("000000085329.jpg", "coco:85329"),
        ("val2017/000000085329.jpg", "coco:85329"),
        ("000000085329", "coco:85329"),
        ("COCO_val2014_000000085329.jpg", "coco:85329"),
        ("COCO_train2014_000000000009.jpg", "coco:9"),
        ("1056338697_4f7d7ce270.jpg", "flickr:1056338697"),
        ("Flicker8k_Dataset\\1056338697_4f7d7ce270.jpg", "flickr:1056338697"),
        ("2258277193_586949ec62.jpg.1", "flickr:2258277193"),
        ("1056338697.jpg", "flickr:1056338697"),
        ("36979.jpg", "flickr:36979"),  # of Flickr30k
        ("123.jpg", None),
        ("085329.jpg", None),
        ("1056338697.png", None),
        ("123456789012.jpg", None),
        ("0000000085329.jpg", None),
        ("20210304_123456.jpg", None),  # a phone's
        ("V_000000185565.jpg", None),
        ("ex_0_img_0", None),
        ("", None),
        ("²345678.jpg", None),
    ],
)
def test_the_identity_that_a_name_tells(name, identity):
    assert identity_of(name) == identity


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.jpg", "a.jpg"),
        ("sub/a.jpg", "sub/a.jpg"),
        ("sub\\a.jpg", "sub/a.jpg"),
        ("other/a.jpg", "a.jpg"),  # by its last part
        ("ex_0_img_0", "ex_0_img_0.png"),
        ("deep/ex_0_img_0", "ex_0_img_0.png"),
        ("000000085329.jpg", "val2017/000000085329.jpg"),
        ("COCO_train2014_000000085329.jpg", "val2017/000000085329.jpg"),
        ("000000000009.jpg", "COCO_train2014_000000000009.jpg"),
        ("coco/000000000042", "train2014/COCO_train2014_000000000042.jpg"),
        ("b.jpg", "images/b.jpg"),
        ("c", "images/c.jpeg"),
        (A, f"Flicker8k_Dataset/{A}"),
        ("1056338697.jpg", "flickr30k-images/1056338697.jpg"),
        ("sub", None),  # a folder
        ("absent.jpg", None),
        ("../outside.jpg", None),
        ("sub/../a.jpg", None),
        ("/a.jpg", None),
        ("C:\\a.jpg", None),
        ("", None),
        (".", None),
        ("\0.jpg", None),
        ("\0/b.jpg", "images/b.jpg"),
        ("x" * 300 + "/a.jpg", "a.jpg"),
    ],
)
def test_where_a_picture_lies(tmp_path, name, file):
    pictures = ["a.jpg", "sub/a.jpg", "ex_0_img_0.png", "val2017/000000085329.jpg", "images/a.jpg", "images/b.jpg"]
    pictures += ["COCO_train2014_000000000009.jpg", "train2014/COCO_train2014_000000000042.jpg", "images/c.jpeg"]
    pictures += [f"Flicker8k_Dataset/{A}", "flickr30k-images/1056338697.jpg"]
    images = write(tmp_path / "pictures", dict.fromkeys(pictures, b""))
    write(tmp_path, {"outside.jpg": b""})
    assert find_picture(images, name) == (None if file is None else images / file)


def test_a_folder_is_listed_once(tmp_path):
    finder = PictureFinder(write(tmp_path, {"a.jpg": b""}))
    assert finder.find("b.jpg") is None
    write(tmp_path, {"b.jpg": b"", "c.jpg": b""})
    assert [finder.find(name) for name in ("a.jpg", "b.jpg", "c.jpg")] == [tmp_path / "a.jpg", None, None]
    assert find_picture(tmp_path, "c.jpg") == tmp_path / "c.jpg"
    assert find_picture(tmp_path / "absent", "c.jpg") is None


@UNHURRIED
@given(parts=st.lists(st.sampled_from(["..", ".", "", "sub", "a.jpg", "outside.jpg", "C:", "\\", "~"]), max_size=5))
def test_nothing_outside_of_the_folder_is_ever_found(tmp_path, parts):
    images = write(tmp_path / "pictures", {"a.jpg": b"", "sub/a.jpg": b""})
    write(tmp_path, {"outside.jpg": b""})
    found = find_picture(images, "/".join(parts))
    assert found is None or found.resolve() in (images / "a.jpg", images / "sub" / "a.jpg")
