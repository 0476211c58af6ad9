"""Ratings of Flickr8k: exactly the claims of their files, and their figures."""

import re

import pytest
from claims import ODD, TOKENS, A, B, lines, write

from evaluation.benchmarks import Claim, read_benchmark
from evaluation.benchmarks.flickr8k import FLICKR8K_CF, FLICKR8K_EXPERT
from sources.items import LeftOut

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
        f"{ODD}\t{ODD}.1#0\t4\t4\t4",  # its own caption too
        f"{ODD}\t{B}#2\t1\t1\t1",
        f"\t{B}#2\t1\t1\t1",
        b"\xff",
        "",
        f"{A}\t{B}#2\t1\t1\t2",  # a pair twice
    )
    write(tmp_path, {"Flickr8k_text/ExpertAnnotations.txt": annotations, "Flickr8k_text/Flickr8k.token.txt": TOKENS})
    found = read_benchmark(f"flickr8k-expert={tmp_path / 'Flickr8k_text' / 'ExpertAnnotations.txt'}")
    assert found.benchmark is FLICKR8K_EXPERT and found.benchmark.ratings
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
        LeftOut("line", f"{place}:11", "the image has no file name", captions=3),
        LeftOut("line", f"{place}:12", "not UTF-8: byte 0xff at position 0", captions=3),
        LeftOut("collection", f"{place}:own captions", "2 pairs of a picture and one of its own captions", captions=6),
    ]
    for folder in (tmp_path, tmp_path / "Flickr8k_text"):
        again = read_benchmark(f"flickr8k-expert={folder}")
        assert (again.claims, again.left_out) == (found.claims, found.left_out)


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
    assert found.benchmark is FLICKR8K_CF and found.benchmark.ratings
    assert [(claim.picture, claim.text[:5], claim.label, claim.unit) for claim in found.claims] == [
        (A, "Trois", 1 / 3, 0),
        (A, "A blo", 1, 1),
        (A, "Trois", 0, 2),
    ]
    assert found.left_out[:3] == TOKENS_LEFT_OUT
    assert [entry.where for entry in found.left_out[3:]] == [f"CrowdFlowerAnnotations.txt:{n}" for n in (4, 5, 6, 7, 8)]
    assert {entry.captions for entry in found.left_out[3:]} == {1}


@pytest.mark.parametrize("name", ["flickr8k-expert", "flickr8k-cf"])
def test_a_missing_file_is_named(tmp_path, name):
    usual = {"flickr8k-expert": "ExpertAnnotations.txt", "flickr8k-cf": "CrowdFlowerAnnotations.txt"}[name]
    with pytest.raises(FileNotFoundError, match=re.escape(f"{usual} is not in {tmp_path}; {name} expects {usual}")):
        read_benchmark(f"{name}={tmp_path}")
    write(tmp_path, {usual: f"{A}\t{B}#2\t1\t1\t1\n"})
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "Flickr8k.token.txt"))):
        read_benchmark(f"{name}={tmp_path}")
