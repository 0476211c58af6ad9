"""Leaks are found by name and by content."""

import pytest

from evaluation.leaks import find_leaks


def test_leaks_are_found_by_name_and_by_content(tiny, tmp_path):
    """One picture is found by its name, one by its content, and one is new."""
    train, other = tiny.rows("train")[0], tiny.rows("test")[0]
    names = {"COCO_val2014_000000000009.jpg": "coco:9", "holiday.jpg": None, "new.jpg": "coco:10"}
    with pytest.raises(ValueError, match=r"it is not known what .* was trained on"):
        find_leaks(tmp_path, None, names)
    (tmp_path / "photographs.txt").write_text("coco:9\n")

    def pictures():
        return iter([tiny.picture(other), tiny.picture(train).resize((90, 90)), tiny.picture(other)])

    assert find_leaks(tmp_path, tiny, names, pictures) == ["COCO_val2014_000000000009.jpg", "holiday.jpg"]
    assert find_leaks(tmp_path, tiny, names) == find_leaks(tmp_path, None, names) == ["COCO_val2014_000000000009.jpg"]
    assert find_leaks(tmp_path, tiny, {"a": tiny.groups[train]}) == ["a"], "the database has names that the list lacks"


def test_a_number_that_several_trained_pictures_have_counts_as_trained_on(tmp_path):
    (tmp_path / "photographs.txt").write_text("coco:9@coco/train2017/9.jpg\npairs:a@b.jpg\n")
    names = {"000000000009.jpg": "coco:9", "own.jpg": "pairs:a", "new.jpg": "coco:10"}
    assert find_leaks(tmp_path, None, names) == ["000000000009.jpg"]
