"""Tables of pairs find a picture however its name spells an accent."""

import unicodedata
from pathlib import Path
from types import SimpleNamespace

import pytest
from raw_files import write

from judging import page, table

FORMS = ("NFC", "NFD")


class Seen(Exception):
    """Raised instead of scoring, with the paths that would be read."""


class Unloaded:
    """A judge without a model."""

    loaded = None


@pytest.mark.parametrize("on_disk", FORMS)
@pytest.mark.parametrize("in_table", FORMS)
def test_a_table_of_pairs_finds_names_in_nfc(tmp_path, monkeypatch, on_disk, in_table):
    file = unicodedata.normalize(on_disk, "\u00e9t\u00e9/caf\u00e9.jpg")
    name = unicodedata.normalize(in_table, file)
    write(tmp_path, {f"images/{file}": None, "pairs.csv": f"image,caption\n{name},A ball.\n".encode()})
    images = tmp_path / "images"
    table.find_any_picture(table.Job(tmp_path / "pairs.csv", images, tmp_path / "out.csv", "model", "cpu"))

    def stop(_, places, *__):
        raise Seen(places[name])

    monkeypatch.setattr(table.scoring, "prepare_files", stop)
    judge = Unloaded()
    with pytest.raises(Seen) as scored:
        table.score_rows(judge, [("1", {"image": name, "caption": "A ball."})], images)
    assert scored.value.args == (images / file,)


@pytest.mark.parametrize("on_disk", FORMS)
def test_a_report_finds_names_in_nfc(tmp_path, monkeypatch, on_disk):
    file = unicodedata.normalize(on_disk, "caf\u00e9.jpg")
    write(tmp_path, {file: None})

    def stop(path: Path) -> None:
        raise Seen(path)

    monkeypatch.setattr(page, "open_any", stop)
    for form in FORMS:
        suspect = SimpleNamespace(image=unicodedata.normalize(form, file), row=1, caption="A ball.", score=0.5)
        with pytest.raises(Seen) as read:
            page.card(None, tmp_path, suspect, False)
        assert read.value.args == (tmp_path / file,)
