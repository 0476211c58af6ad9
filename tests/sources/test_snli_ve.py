"""SNLI-VE: texts by their labels, odd lines, and a database in which they are stored apart."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import scenery
from raw_files import UNHURRIED, accounted, almost, hypothesis_line, write
from scripts import run_jobs_here

import Database_create
from common import jobs
from DataBase_functions import Database
from sources.items import LeftOut, Text
from sources.snli_ve import read_snli_ve
from sources.units import read_arrow


def snli_ve(folder: Path, *lines: Any, name: str = "s.jsonl") -> Path:
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    return write(folder, {name: text}) / name


@pytest.mark.parametrize(
    ("label", "kind", "matches"),
    [("entailment", "entailed", True), ("contradiction", "contradicted", False), ("neutral", "neutral", False)],
)
def test_the_label_gives_the_kind_of_the_text(tmp_path, label, kind, matches):
    file = snli_ve(tmp_path, hypothesis_line(label, " An animal moves ."))
    assert list(read_snli_ve(file)) == [Text("flickr:7", "An animal moves .", kind, "s.jsonl:1", matches)]


@pytest.mark.parametrize("number", ["7", 7, "7.jpg"])
@pytest.mark.parametrize("key", ["Flickr30K_ID", "Flikr30kID"])
def test_a_photograph_is_known_by_its_number(tmp_path, number, key):
    record = hypothesis_line("neutral", "A pet runs.") | {key: number}
    record = {name: value for name, value in record.items() if name != "Flickr30K_ID" or key == name}
    (text,) = read_snli_ve(snli_ve(tmp_path, record))
    assert text.identity == "flickr:7"


def test_texts_without_agreement_are_one_entry(tmp_path):
    unclear = hypothesis_line("-", "A dog is happy.")
    file = snli_ve(tmp_path, unclear, hypothesis_line("entailment", "A dog moves."), unclear)
    assert list(read_snli_ve(file)) == [
        Text("flickr:7", "A dog moves.", "entailed", "s.jsonl:2"),
        LeftOut("collection", "s.jsonl:-", 'the annotators did not agree: gold_label "-"', captions=2),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"Flickr30K_ID": "7", "gold_la', "not a record of SNLI-VE: JSONDecodeError: "),
        ("<html>", "not a record of SNLI-VE: JSONDecodeError: Expecting value"),
        ("[" * 100_000, "not a record of SNLI-VE: ValueError: nested too deeply"),
        (hypothesis_line("neutral", "A \ud83d dog"), "not a record of SNLI-VE: UnicodeEncodeError: "),
        ([1, 2], "not a record of SNLI-VE: not a JSON object"),
        ({"gold_label": "neutral", "sentence2": "A dog."}, "it has no Flickr30K_ID"),
        (hypothesis_line("neutral", "A dog.", "dog"), "Flickr30K_ID is not the number of a photograph: 'dog'"),
        (hypothesis_line("neutral", "A dog.", 7.0), "Flickr30K_ID is not the number of a photograph: '7.0'"),
        (hypothesis_line("neutral", "A dog.", None), "it has no Flickr30K_ID"),
        ({"Flickr30K_ID": "7", "gold_label": "neutral"}, "it has no sentence2"),
        (hypothesis_line("neutral", ["A dog."]), "sentence2 is not a text"),
        (hypothesis_line("neutral", " "), "sentence2 is not a text"),
        (
            hypothesis_line("maybe", "A dog."),
            "unknown gold_label 'maybe'; known: entailment, contradiction, neutral, -",
        ),
        (hypothesis_line(None, "A dog."), "unknown gold_label 'None'"),
        ({"Flickr30K_ID": "7", "sentence2": "A dog."}, "unknown gold_label 'None'"),
    ],
)
def test_a_broken_line_is_reported_with_file_and_number_and_the_rest_is_kept(tmp_path, line, reason):
    entry, *rest = read_snli_ve(snli_ve(tmp_path, "", line, hypothesis_line("entailment", "A dog – 犬.")))
    assert (entry.what, entry.where, entry.captions, entry.photographs) == ("line", "s.jsonl:2", 1, 0)
    assert entry.reason.startswith(reason)
    assert rest == [Text("flickr:7", "A dog – 犬.", "entailed", "s.jsonl:3")]


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*absent\.jsonl"):
        list(read_snli_ve(tmp_path / "absent.jsonl"))


@UNHURRIED
@given(st.lists(almost("Flickr30K_ID", "gold_label", "sentence2"), max_size=5))
def test_every_line_is_a_text_or_left_out(tmp_path, records):
    file = snli_ve(tmp_path, *map(json.dumps, records))
    assert accounted(read_snli_ve(file)) == len(records)


# A database

LINES = [
    hypothesis_line("entailment", "An animal moves."),
    hypothesis_line("contradiction", "A zebra sleeps ."),
    hypothesis_line("neutral", "A happy dog runs."),
    hypothesis_line("-", "A dog is old."),
    hypothesis_line("contradiction", "A cat.", "99"),
    "{",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Two photographs of Flickr8k, and the texts of LINES about the first and about one that is not there."""
    root = tmp_path_factory.mktemp("snli_ve")
    (root / "f8k" / "Images").mkdir(parents=True)
    for number in (7, 8):
        scenery(number).save(root / "f8k" / "Images" / f"{number}_0123456789.jpg")
    captions = "".join(f"{number}_0123456789.jpg#0\tA dog runs .\n" for number in (7, 8))
    lists = {"Flickr_8k.trainImages.txt": "7_0123456789.jpg\n", "Flickr_8k.testImages.txt": "8_0123456789.jpg\n"}
    write(root / "f8k", {"Flickr8k.token.txt": captions, **lists})
    flags = ["--flickr8k", root / "f8k", "--snli-ve", snli_ve(root, *LINES), "--workers", 1, "--no-negatives"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "run_locally", run_jobs_here)
        Database_create.main([*map(str, ("--root", root, "--name", "photos", *flags))])
    return root / "photos"


def test_entailed_texts_are_captions_and_the_others_are_mismatches(built):
    first, second = read_arrow(built / "data-00000-of-00001.arrow").to_pylist()
    assert [(text["text"], text["kind"], text["source"]) for text in first["captions"]] == [
        ("A dog runs .", "caption", "flickr8k"),
        ("An animal moves.", "entailed", "snli_ve"),
    ]
    assert first["captions"][1]["parse"]["lemma"] == ["an", "animal", "move", "."]
    assert first["mismatches"] == [
        {"text": "A zebra sleeps .", "kind": "contradicted", "source": "snli_ve"},
        {"text": "A happy dog runs.", "kind": "neutral", "source": "snli_ve"},
    ]
    assert len(second["captions"]) == 1 and second["mismatches"] == []


def test_the_manifest_counts_each_label(built):
    manifest = json.loads((built / "manifest.json").read_text())
    counts = manifest["sources"]["snli_ve"]
    assert counts["kinds"] == {"contradicted": 1, "entailed": 1, "neutral": 1}
    assert counts["captions"] == {"seen": 6, "stored": 3, "left_out": 3}
    assert counts["photographs"] == {"seen": 2, "stored": 1, "left_out": 1}
    reasons = {entry["where"]: (entry["reason"], entry["captions"]) for entry in manifest["left_out"]}
    assert reasons["s.jsonl:5"] == ("there is no picture of flickr:99 in the folders that were read", 1)
    assert reasons["s.jsonl:-"] == ('the annotators did not agree: gold_label "-"', 1)
    assert reasons["s.jsonl:6"][0].startswith("not a record of SNLI-VE: JSONDecodeError")


def test_words_of_training_mismatches_are_in_the_vocabulary(built):
    assert Database(built).word_counts["zebra"] == 1


def test_without_photographs_the_source_names_what_it_needs(tmp_path, capsys):
    with pytest.raises(SystemExit):
        Database_create.main(["--name", "photos", "--snli-ve", str(snli_ve(tmp_path, *LINES))])
    message = "--snli-ve is about pictures of other datasets: add --flickr30k DIR or --flickr8k DIR"
    assert message in capsys.readouterr().err


@pytest.mark.system
@pytest.mark.skipif("TIC_PHOTOS" not in os.environ, reason="TIC_PHOTOS names no folder with snli_ve/")
def test_the_real_texts():
    file = Path(os.environ["TIC_PHOTOS"]) / "snli_ve" / "snli_ve_train.jsonl"
    items = list(read_snli_ve(file))
    kinds = Counter(item.kind if isinstance(item, Text) else item.what for item in items)
    assert kinds == {"entailed": 1177, "contradicted": 1142, "neutral": 1133}
