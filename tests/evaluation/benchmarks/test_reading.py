"""Benchmarks: the flag, files of another kind, and arbitrary files."""

import json
import re

import pytest
from claims import TOKENS, UNHURRIED, lines, write
from hypothesis import given
from hypothesis import strategies as st

from evaluation.benchmarks import BENCHMARKS, read_benchmark


@pytest.mark.parametrize("spec", ["", "sugarcrepe", "crepe=.", "=.", "foil=", "FOIL=."])
def test_a_spec_that_names_no_benchmark_is_refused_with_the_known_names(spec):
    with pytest.raises(ValueError, match=re.escape(", ".join(BENCHMARKS))) as refusal:
        read_benchmark(spec)
    assert repr(spec) in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_path_that_is_not_there_is_named(tmp_path, name):
    """The first = ends the name; a path can contain more."""
    path = tmp_path / "a=b"
    with pytest.raises(FileNotFoundError, match=re.escape(f"{path} is not there; {name} expects ")):
        read_benchmark(f"{name}={path}")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_an_empty_folder_is_refused_with_what_is_expected(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=re.escape(f"{tmp_path}") + rf".*; {re.escape(name)} expects "):
        read_benchmark(f"{name}={tmp_path}")


@pytest.mark.parametrize("name", BENCHMARKS)
@pytest.mark.parametrize(
    "content",
    [b"", b"\x89PNG\r\n\x1a\n\0", b"just a text\nof two lines", b"[]", b"{}", b'"text"', b"7", b'{"a\\nb": {"c": 1}}'],
)
def test_a_file_of_another_kind_is_refused_in_one_line(tmp_path, name, content):
    path = tmp_path / ("own.jsonl" if name == "pairs" else "file.json")
    write(tmp_path, {path.name: content, "Flickr8k.token.txt": TOKENS})
    with pytest.raises(ValueError, match=re.escape(str(path))) as refusal:
        read_benchmark(f"{name}={path}")
    message = str(refusal.value)
    assert "\n" not in message
    assert f"{name} expects " in message or "has no column caption and no column image" in message


def test_a_file_of_many_brackets_is_not_json(tmp_path):
    write(tmp_path, {"file.json": b"[" * 100_000})
    with pytest.raises(ValueError, match=r"is not JSON .*; sugarcrepe expects a folder"):
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
@given(name=st.sampled_from(sorted(BENCHMARKS)), content=st.binary(max_size=60) | RECORDS, as_foil=st.booleans())
def test_no_file_crashes_a_reader(tmp_path, name, content, as_foil):
    """Any file is a benchmark, or it is refused in one line."""
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


def test_utf_16_is_named(tmp_path):
    write(tmp_path, {"file.json": '{"0": {"filename": "1.jpg"}}'.encode("utf-16")})
    for name in ("sugarcrepe", "foil", "winoground", "snli-ve"):
        with pytest.raises(ValueError, match=r"file\.json is UTF-16, and UTF-8 is needed"):
            read_benchmark(f"{name}={tmp_path / 'file.json'}")
