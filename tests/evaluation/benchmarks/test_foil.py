"""FOIL and VALSE: exactly the claims of their files, and where a foil is false."""

import json
import re
from typing import Any

import pytest
from claims import marked, whole, write
from hypothesis import given
from hypothesis import strategies as st

from evaluation.benchmarks import Claim, read_benchmark
from evaluation.benchmarks.figures import pairwise_figures
from evaluation.benchmarks.foil import WORD, _changed_part
from sources.items import LeftOut


def foil(number: int, image: int, caption: str, word: str = "ORIG", target: str = "ORIG", **ids: Any) -> dict[str, Any]:
    """An annotation of FOIL with all its keys."""
    is_foil = word != "ORIG"
    fields = {"id": number, "image_id": image, "caption": caption, "foil": is_foil}
    return {**fields, "foil_word": word, "target_word": target, **ids}


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
    assert (found.benchmark.name, found.benchmark.figures) == ("foil", pairwise_figures)
    first, second, third = "some/391895.jpg", "COCO_val2014_000000522418.jpg", "COCO_val2014_000000000009.jpg"
    assert whole(found) == [
        Claim(first, "A man, on a motorcycle.", 1, "", 0),
        Claim(first, "A man, on a bicycle.", 0, "", 0, ((12, 19),)),
        Claim(first, "A man, on a bus.", 0, "", 0, ((12, 15),)),
        Claim(second, "A dog beside a dog.", 1, "", 1),
        Claim(second, "A Cat beside a cat.", 0, "", 1, ((2, 5), (15, 18))),
        Claim(third, "A naïve “meal”.", 1, "", 2),
    ]


def test_foils_are_joined_by_id_if_it_joins_more(tmp_path):
    """In the authors' file `id` is the id of the caption in COCO."""
    by_id = foil_file(
        foil(1, 9, "A dog.", foil_id=1),
        foil(1, 9, "A cat.", "cat", "dog", foil_id=2),
        foil(2, 9, "A red bus.", foil_id=3),
        foil(2, 9, "A red car.", "car", "bus", foil_id=4),
    )
    write(tmp_path, {"by_id.json": by_id})
    assert [claim.unit for claim in whole(read_benchmark(f"foil={tmp_path / 'by_id.json'}"))] == [0, 0, 1, 1]
    for annotation in by_id["annotations"]:
        annotation["foil_id"] = 5  # now both keys join all foils, and foil_id comes first
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
        (foil(1, 9, 7, foil_id=1), "caption is not a text"),
        (foil(1, "9", "A dog.", foil_id=1), "image_id is not a number"),
        (foil(1, True, "A dog.", foil_id=1), "image_id is not a number"),
        ({**foil(1, 9, "A dog.", foil_id=1), "foil": "yes"}, "foil is neither true nor false"),
        ("A dog.", "not a JSON object"),
    ],
)
def test_a_broken_annotation_of_foil_is_reported_and_the_rest_is_kept(tmp_path, annotation, reason):
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
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'f.json'} is damaged or incomplete")) as refusal:
        read_benchmark(f"foil={tmp_path / 'f.json'}")
    assert "\n" not in str(refusal.value)


def valse(caption: Any, false: Any, votes: Any = 3, **more: Any) -> dict[str, Any]:
    """A record of VALSE; votes: how many annotators chose the caption."""
    fields = {
        "dataset": "VisDial_v1.0",
        "original_split": "val2018",
        "dataset_idx": 1,
        "image_file": "V_000000185565.jpg",
    }
    return {**fields, "caption": caption, "foil": false, "mturk": {"foil": 0, "caption": votes, "other": 0}, **more}


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
    assert found.left_out == [LeftOut("collection", "other.json", "no record fits: not a JSON object")]


WORDS = st.lists(st.sampled_from(["a", "dog", "Dog", "café", ",", "3"]), max_size=8)


@given(before=WORDS, after=WORDS)
def test_the_rest_of_a_foil_is_the_rest_of_its_caption(before, after):
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


@pytest.mark.parametrize("first", ["data_type", "info", "0"])
def test_foil_is_recognised_by_its_annotations_whatever_comes_first(tmp_path, first):
    pair = (foil(1, 9, "A dog.", foil_id=1), foil(2, 9, "A cat.", "cat", "dog", foil_id=1))
    write(tmp_path, {"own.json": {first: "x", **foil_file(*pair)}})
    found = read_benchmark(f"foil={tmp_path / 'own.json'}")
    assert [claim.text for claim in found.claims] == ["A dog.", "A cat."]
