"""Counts of the manifest: seen = stored + left out, for any items."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intakes import join, photographs, picture, take_in, text

from common.storage import SPLITS
from sources.items import LeftOut, Listed, Text
from sources.manifest import account, count_splits, name_pictures

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
def test_seen_is_stored_plus_left_out_for_any_input(pairs, data):
    intake = take_in({name: [item for source, item in pairs if source == name] for name in SOURCES})
    found = photographs(intake)
    ranks = range(1, len(found) + 1)
    lost = data.draw(st.sets(st.sampled_from(ranks))) if found else set()
    for rank in lost:
        intake.leave_out_photograph(rank, {"coco": "the file no longer exists"})
    rank_pairs = st.tuples(st.sampled_from(ranks), st.sampled_from(ranks)).filter(lambda p: p[0] < p[1])
    alike = data.draw(st.sets(rank_pairs, max_size=4)) if len(found) > 1 else set()
    join(intake, [(i, j) for i, j in alike if not {i, j} & lost])
    texts = {photograph.rank: photograph.texts for photograph in found.values()}
    stored = Counter[str]()
    rows = intake.rows(1, len(found))
    for row in rows:
        stored.update(t.source for t in texts[row.rank])
        for guest in row.guests:
            stored.update(t.source for t, (_, kept) in zip(texts[guest], intake.kept_texts(guest)) if kept)
    for name in SOURCES:
        counts = account(intake, name, stored[name])  # asserts that they add up
        own = [item for source, item in pairs if source == name]
        assert counts["captions"]["seen"] == sum(isinstance(i, Text) for i in own) + sum(
            i.captions for i in own if isinstance(i, LeftOut)
        )
        assert sum(count_splits(intake, name).values()) == counts["photographs"]["stored"]
    groups: dict[str, set[str]] = {}
    for row in rows:
        groups.setdefault(row.group, set()).add(row.split)
    assert all(len(found) == 1 for found in groups.values()), "one group, one split"
    assert sum(count_splits(intake).values()) == len(rows)


@pytest.mark.parametrize(
    ("sources", "name"),
    [
        ({"scenes": 3}, "drawn scenes"),
        ({"flickr8k": 3, "entities": 3}, "photographs of Flickr8k"),  # the second has only texts
        ({"coco": 3, "flickr30k": 3, "ade20k": 3}, "photographs of COCO, Flickr30k and ADE20K"),
        ({"scenes": 3, "coco": 3, "pairs": 3}, "drawn scenes and photographs of COCO and others"),
        ({"pairs": 3}, "photographs"),
        ({"scenes": 3, "coco": 0}, "drawn scenes"),  # none of them is trained on
        ({"unknown": 3}, "photographs"),
    ],
)
def test_the_training_pictures_have_a_name(sources, name):
    manifest = {"sources": {source: {"splits": {"train": n}} for source, n in sources.items()}}
    assert name_pictures(manifest) == name
