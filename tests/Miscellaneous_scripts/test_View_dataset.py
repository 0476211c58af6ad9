"""View_dataset: samples equal a batch of training, texts are marked and shortened, statistics are right."""

import random
import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch
from conftest import run_process, run_script
from PIL import Image

from common.regions import Region, View, words_inside
from Config import AugmentConfig, DataConfig, NegativesConfig
from DataBase_functions import Caption, Database, Key, PairDataset
from Miscellaneous_scripts import View_dataset as view
from Miscellaneous_scripts.View_dataset import ELLIPSIS, Piece, Sample
from negatives.edits import other_words
from negatives.text import Negative
from Tokenizer_lib import Tokenizer, split_words

SCRIPT = "Miscellaneous_scripts/View_dataset.py"


def make_dataset(database, max_words=64):
    data = DataConfig(name="tiny", side=64, max_words=max_words)
    augmentation = AugmentConfig(crop=0.6, flip=0.5, jitter=0.3)
    return PairDataset(database, Tokenizer.build(database.word_counts), data, NegativesConfig(), augmentation, seed=5)


@pytest.fixture(scope="module")
def dataset(databases):
    return make_dataset(Database(databases / "tiny"))


def negative_of(text, *words):
    """A negative with this text, in which `words` were changed."""
    return Negative(text, "swap", "object", tuple((text.index(word), text.index(word) + len(word)) for word in words))


def test_the_three_plots_are_written_to_the_folder_of_the_database(databases, tmp_path):
    page, plots = tmp_path / "new" / "page.png", tmp_path / "plots"
    flags = ["--name", "tiny", "--root", databases, "--count", 3, "--preset", "scenes", "--plots", plots]
    printed = run_process(SCRIPT, *flags, "--out", page).stdout
    for path, height in (
        (page, (1.0 + 3 * view.ROW) * view.DPI),
        (plots / "tiny" / "caption_length_hist.png", 5.6 * view.DPI),
        (plots / "tiny" / "vocab_rank_freq.png", 5.4 * view.DPI),
    ):
        assert f"written: {path}\n" in printed
        with Image.open(path) as picture:
            assert picture.size == (1800, pytest.approx(height, abs=1))
            assert np.asarray(picture.convert("L")).std() > 10  # not an empty page
    names = ["caption_length_hist.png", "database.txt", "vocab_rank_freq.png"]
    assert [path.name for path in plots.iterdir()] == ["tiny"]
    assert sorted(path.name for path in (plots / "tiny").iterdir()) == names


@pytest.mark.parametrize(("ending", "start"), [("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_figures_can_be_vector_graphics(databases, tmp_path, ending, start):
    flags = ["--name", "tiny", "--root", databases, "--count", 1, "--preset", "scenes", "--split", "test"]
    run_script(SCRIPT, *flags, "--plots", tmp_path, "--figures", ending)
    paths = sorted(path for path in (tmp_path / "tiny").iterdir() if path.name != "database.txt")
    names = ("caption_length_hist", "samples_test", "vocab_rank_freq")
    assert [path.name for path in paths] == [f"{name}.{ending}" for name in names]
    assert all(path.read_bytes().startswith(start) for path in paths)


def test_plots_of_another_database_with_the_same_name_are_not_overwritten(databases, tmp_path, monkeypatch):
    monkeypatch.setattr(view, "save", lambda figure, path: path.write_bytes(b"drawn"))  # 15 plots take 10 s
    for root in ("one", "two"):
        shutil.copytree(databases / "tiny", tmp_path / root / "tiny")
    plots = tmp_path / "Plots" / "tiny"
    flags = ["--name", "tiny", "--count", 1, "--preset", "scenes", "--plots", plots.parent]
    for _ in range(2):  # those of the same database are replaced without asking
        run_script(SCRIPT, *flags, "--root", tmp_path / "one")
    before = {path.name: path.stat().st_mtime_ns for path in plots.iterdir()}
    error = run_script(SCRIPT, *flags, "--root", tmp_path / "two", status=2).stderr
    assert f"{plots} has the plots of another database, {tmp_path / 'one' / 'tiny'}" in error
    assert "--plots DIR" in error and "--overwrite" in error and error.count("\n") == 1
    assert {path.name: path.stat().st_mtime_ns for path in plots.iterdir()} == before
    run_script(SCRIPT, *flags, "--root", tmp_path / "two", "--overwrite")
    run_script(SCRIPT, *flags, "--root", tmp_path / "two")
    run_script(SCRIPT, *flags, "--root", tmp_path / "one", status=2)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--name", "absent"], "no database at"),
        (["--name", "tiny", "--split", "dev"], "there is no split 'dev'; choose from train, validation, test"),
        (["--name", "tiny", "--count", "0"], "--count 0: must be 1 to 160"),
        (["--name", "tiny", "--out", "page.jpg"], "--out page.jpg: the file name must end with .png, .pdf or .svg"),
        (
            ["--name", "tiny", "--preset", "large"],
            "--preset 'large': choose from 'scenes', ",
        ),
    ],
)
def test_what_the_user_can_fix_is_one_line_with_status_2(databases, tmp_path, flags, message):
    error = run_script(SCRIPT, "--root", databases, "--plots", tmp_path / "plots", *flags, status=2).stderr
    assert error.startswith("View_dataset.py: error: ")
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "plots").exists()


def test_a_sample_is_what_a_batch_of_the_first_epoch_holds(dataset):
    with_negative = 0
    for row in dataset.database.rows("train")[:10]:
        batch, sample = dataset[Key(0, row)], view.draw_sample(dataset, Key(0, row))
        assert torch.equal(sample.seen, batch.pictures[0])
        texts = [[int(word) for word in line if word] for line in batch.words]
        assert dataset.tokenizer.encode(sample.caption.text) == texts[0]
        if sample.negative is not None:
            first = len(batch.owner) + batch.negative_of.tolist().index(0)
            assert dataset.tokenizer.encode(sample.negative.text) == texts[first]
            with_negative += 1
    assert with_negative > 5


def test_the_boxes_of_a_sample_are_those_of_the_batch(dataset):
    """Drawn in both pictures, at the places that the ground loss uses."""
    for row in dataset.database.rows("train")[:6]:
        batch, sample = dataset[Key(0, row)], view.draw_sample(dataset, Key(0, row))
        assert sample.regions
        words = split_words(sample.caption.text)
        for region in sample.regions:
            for n in words_inside(words, region):
                number = int(batch.grounding.region_of[0, n])
                found = batch.grounding.boxes[number - 1][: len(region.boxes)] if number else torch.zeros(0, 4)
                expected = torch.tensor(sample.view.place(region.boxes)).view(-1, 4)
                torch.testing.assert_close(found, expected)


def test_boxes_are_drawn_in_both_pictures_and_words_are_underlined_in_their_colour(dataset):
    from matplotlib.colors import to_hex

    picture, text = Image.new("RGB", (200, 100)), "A man in a hat runs."
    regions = (Region(0, 14, ((0.25, 0.2, 0.75, 0.8),)), Region(9, 14, ((0.3, 0.2, 0.4, 0.3), (0.9, 0.9, 1.0, 1.0))))
    shown = View((0.0, 0.0, 0.8, 0.8), mirrored=True)
    sample = Sample(picture, torch.zeros(3, 64, 64), Caption(text, "caption", "x"), None, regions, shown)
    page = view.SamplePage(1)
    page.write_sample(0.85, sample, 64)
    stored, seen = (
        [(*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in axes.patches]
        for axes in page.figure.axes
    )
    assert [pytest.approx(box) for box in stored] == [
        (49.5, 19.5, 100, 60),
        (59.5, 19.5, 20, 10),
        (179.5, 89.5, 20, 10),
    ]
    assert [pytest.approx(box) for box in seen] == [((1 - 0.75 / 0.8) * 64 - 0.5, 15.5, 40, 48)]
    pieces = view.split_pieces(text, [(2, 5)], regions)
    man, hat = view.BOX_COLOURS[:2]
    assert [(piece.text.strip(), piece.marked, piece.colour) for piece in pieces] == [
        *(("A", False, man), ("man", True, man), ("in", False, man), ("a", False, hat), ("hat", False, hat)),
        ("runs.", False, None),
    ]
    lines = [to_hex(line.get_color()).upper() for line in page.figure.artists]
    assert lines == [man] * 3 + [hat] * 2
    assert [to_hex(patch.get_edgecolor()).upper() for patch in page.figure.axes[0].patches] == [man, hat, hat]


def test_regions_with_the_same_boxes_have_one_colour():
    box, other = ((0.1, 0.1, 0.5, 0.5),), ((0.5, 0.5, 1.0, 1.0),)
    found = view.coloured_regions([Region(0, 2, box), Region(5, 9, other), Region(10, 11, box)])
    assert [(region.start, colour) for region, colour in found] == [
        (5, view.BOX_COLOURS[1]),
        (0, view.BOX_COLOURS[0]),
        (10, view.BOX_COLOURS[0]),
    ]


def test_captions_of_a_split_are_those_of_its_rows(dataset):
    database = dataset.database
    captions = view.split_captions(database, "test").to_pylist()
    expected = [(row, c.text, c.kind) for row in database.rows("test") for c in database.captions(row)]
    assert [(line["row"], line["text"], line["kind"]) for line in captions] == expected


def test_each_kind_of_caption_is_on_the_page(databases):
    database = Database(databases / "tiny")
    rows = database.rows("train")
    column = database.table.column("captions")
    captions = column.to_pylist()
    for row, kind in ((rows[3], "narrative"), (rows[3], "dense"), (rows[7], "dense")):
        next(caption for caption in captions[row] if caption["kind"] == "caption")["kind"] = kind
    place = database.table.schema.get_field_index("captions")
    database.table = database.table.set_column(place, "captions", pa.array(captions, column.type))
    dataset = make_dataset(database)
    for count in (3, 8, len(rows) + 5):
        page = view.draw_samples(dataset, "train", count)
        assert len(page) == min(count, len(rows))
        assert {sample.caption.kind for sample in page} == {"caption", "narrative", "dense"}
        assert len({sample.stored.tobytes() for sample in page}) == len(page)
    assert [sample.caption.kind for sample in view.draw_samples(dataset, "train", 1)] == ["narrative"]


@pytest.mark.parametrize(
    ("text", "negative", "replaced"),
    [
        ("A red ball and a red car.", negative_of("A red ball and a blue car.", "blue"), [(17, 20)]),
        ("A child on an apple.", negative_of("An adult on an apple.", "adult"), [(2, 7)]),
        ("Two men leap.", negative_of("One man leaps.", "One"), [(0, 3)]),
        ("The dog behind it.", negative_of("The dog in front of it.", "in", "front", "of"), [(8, 14)]),
        ("Out of it, in front of us.", negative_of("Out of it, behind us.", "behind"), [(11, 13), (14, 19), (20, 22)]),
        (
            "A red hat by the sea.",
            negative_of("The sea by a red hat.", "The sea", "a red hat"),
            [(0, 1), (2, 5), (6, 9), (13, 16), (17, 20)],
        ),
        ("A man and his dog.", negative_of("A woman and her dog.", "woman", "her"), [(2, 5), (10, 13)]),
    ],
)
def test_replaced_words_are_those_in_the_place_of_the_changed_ones(text, negative, replaced):
    assert view.replaced_words(text, negative) == replaced


def test_words_that_a_mined_negative_does_not_contain_are_marked():
    text, other = "A girl on a red bike.", "A red dog runs."
    mined = Negative(other, "mined", "mined", other_words(text, other))
    assert [other[start:end] for start, end in mined.changed] == ["dog", "runs"]
    assert [text[start:end] for start, end in view.replaced_words(text, mined)] == ["girl", "on", "bike"]


def test_a_sample_of_a_long_caption_is_changed_where_it_is_read(databases):
    database = Database(databases / "tiny")
    dataset = make_dataset(database, max_words=6)
    swapped = 0
    for row in database.rows("train"):
        batch, sample = dataset[Key(0, row)], view.draw_sample(dataset, Key(0, row))
        assert torch.equal(sample.seen, batch.pictures[0])
        if sample.negative is not None:
            first = len(batch.owner) + batch.negative_of.tolist().index(0)
            read = [int(word) for word in batch.words[first] if word]
            assert dataset.tokenizer.encode(sample.negative.text, 6) == read
            if sample.negative.kind == "swap":
                swapped += 1
                assert dataset.tokenizer.encode(sample.caption.text, 6) != read
    assert swapped > 5


def test_words_are_marked_where_they_touch_a_span_and_long_ones_are_cut():
    assert view.split_pieces(" A red  car, T-shirt.", [(3, 6), (13, 15)]) == [
        Piece("A "),
        Piece("red  ", True),
        Piece("car, "),
        Piece("T-shirt.", True),
    ]
    assert [piece.text for piece in view.split_pieces("x" * 50 + " y", [])] == ["x" * 24, "x" * 24, "xx ", "y"]


def length(piece):
    return len(piece.text)


def test_a_text_is_wrapped_and_shortened_around_its_mark():
    aa, bb, cc, dd = (Piece(text) for text in ("aa ", "bb ", "cc ", "dd "))
    ee, ff = Piece("ee ", True), Piece("ff ")
    assert view.lay_out([aa, bb, cc], 6, 2, length) == [[aa, bb], [cc]]
    # Six lines of one piece each, since an ellipsis (2) must have room beside a piece (3).
    assert view.lay_out([aa, bb, cc, dd, ee, ff], 6, 2, length) == [[ELLIPSIS, dd], [ee, ELLIPSIS]]
    assert view.lay_out([ee, aa, bb, cc, dd, ff], 6, 2, length) == [[ee], [aa, ELLIPSIS]]
    assert view.lay_out([aa, bb, cc, dd, ff, ee], 6, 2, length) == [[ELLIPSIS, ff], [ee]]
    assert view.lay_out([aa, bb, cc, dd, ff], 6, 2, length) == [[aa], [bb, ELLIPSIS]]


def test_no_line_is_too_wide_and_the_mark_is_always_there():
    rng = random.Random(0)
    for _ in range(300):
        pieces = [Piece("w" * rng.randint(1, 24) + " ") for _ in range(rng.randint(1, 200))]
        at = rng.randrange(len(pieces))
        pieces[at] = Piece(pieces[at].text, True)
        lines = view.lay_out(pieces, 40, 4, length)
        assert len(lines) <= 4
        assert all(sum(map(length, line)) <= 40 for line in lines)
        assert sum(piece.marked for line in lines for piece in line) == 1


def test_nothing_leaves_the_page(dataset, tmp_path):
    """The margins stay white under 200 wide words, a URL, and two $ (which are not a formula)."""
    words = ["WWWWWWWWWWWW"] * 100 + ["https://example.org/" + "M" * 200, "$5", "$x_$", "red"] + ["(WÉg,"] * 100
    text = " ".join(words)
    caption = Caption(text, "dense", "pairs")
    white = torch.full((3, 64, 64), 255, dtype=torch.uint8)
    sample = Sample(
        Image.new("RGB", (300, 40), "white"), white, caption, negative_of(text.replace("red", "blue"), "blue")
    )
    view.plot_samples(tmp_path / "page.png", "page", "\nseen", [sample] * 2, dataset)
    page = np.asarray(Image.open(tmp_path / "page.png").convert("L"))
    margin = round(view.GAP * view.DPI)
    rows = page.shape[0] - round(view.DPI * view.ROW)
    assert page[:, -margin + 2 :].min() == page[-margin + 2 :].min() == 255
    assert page[:rows, : -margin - 2].min() < 100
    # Between the rows it is white as well: no line of the first reaches into the second.
    second = round((0.85 + view.ROW) * view.DPI)
    assert page[second - 12 : second - 2].min() == 255


def test_lengths_and_vocabulary_as_counted_by_hand():
    captions = pa.table(
        {
            "text": ["A man's red T-shirt .", "One two", "Out of it, in front.", "a"],
            "kind": ["caption", "dense", "caption", "caption"],
        }
    )
    lengths = view.caption_lengths(captions)
    assert {kind: words.tolist() for kind, words in lengths.items()} == {"caption": [4, 5, 1], "dense": [2]}
    assert list(lengths) == ["caption", "dense"]
    assert view.enough_words(np.arange(1, 101)) == [50, 95, 99]
    assert view.enough_words(np.array([10, 3, 3])) == [3, 10, 10]
    sizes = view.vocabulary_sizes({"a": 6, "b": 3, "c": 1})
    assert sizes == [(1, 3, 1.0), (2, 2, pytest.approx(0.9)), (5, 1, pytest.approx(0.6))]
