"""Flickr30k and Flickr8k as their authors, Kaggle and Karpathy distribute them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_files import NO_LISTS, UNHURRIED, karpathy, sentence, write

from sources.flickr import flickr_identity, read_flickr8k, read_flickr30k, read_kaggle_bars, read_tokens
from sources.items import LeftOut, Listed, Note, Picture, Text


@given(st.integers(1, 10**11), st.integers(1, 10**11), st.integers(0, 16**10 - 1))
@UNHURRIED
def test_flickr_names_of_one_number_are_one_identity_and_of_two_are_two(number, other, secret):
    names = [f"{number}_{secret:010x}.jpg", f"{number}.jpg", f"{number}", f"{number}_{secret:010x}.jpg.1"]
    assert {flickr_identity(name) for name in names} == {f"flickr:{number}"}
    assert (flickr_identity(f"{other}_{secret:010x}.jpg") == f"flickr:{number}") == (other == number)


def test_own_pictures_in_the_format_of_flickr_do_not_share_an_identity():
    names = ["dog_1.jpg", "dog_2.jpg", "IMG_20240101_1.jpg", "1a_2.jpg", "_1.jpg"]
    assert [flickr_identity(name) for name in names] == [f"flickr:{name.removesuffix('.jpg')}" for name in names]


def test_flickr30k_as_its_authors_distribute_it(tmp_path):
    folder = write(
        tmp_path,
        {
            "flickr30k-images/1000092795.jpg": None,
            "flickr30k-images/10002456.jpg": None,
            "flickr30k-images/readme.txt": None,
            "results_20130124.token": "1000092795.jpg#0\tTwo young guys .\n"
            "1000092795.jpg#1\t  Ein Hund läuft – 犬  \r\n"
            "10002456.jpg#0\tA cat .",
        },
    )
    pictures = folder / "flickr30k-images"
    assert list(read_flickr30k(folder)) == [
        Picture("flickr:1000092795", "1000092795.jpg", pictures / "1000092795.jpg"),
        Picture("flickr:10002456", "10002456.jpg", pictures / "10002456.jpg"),
        Text("flickr:1000092795", "Two young guys .", "caption", "results_20130124.token:1"),
        Text("flickr:1000092795", "Ein Hund läuft – 犬", "caption", "results_20130124.token:2"),
        Text("flickr:10002456", "A cat .", "caption", "results_20130124.token:3"),
        Note(f"flickr30k: {NO_LISTS}"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1_0123456789.jpg#1 A dog .", "no tab between file name and caption"),
        (b"1_0123456789.jpg\tA dog .", "expected name.jpg#number before the tab, got '1_0123456789.jpg'"),
        (b"1_0123456789.jpg#x\tA dog .", "expected name.jpg#number before the tab, got '1_0123456789.jpg#x'"),
        (b"#1\tA dog .", "expected name.jpg#number before the tab, got '#1'"),
        (b"1_0123456789.jpg#1\tA d\xf6g .", "not UTF-8: byte 0xf6 at position 22"),
        (b"\0\0\0", "no tab between file name and caption"),
    ],
)
def test_a_broken_line_of_tokens_is_reported_with_its_number_and_the_rest_is_kept(tmp_path, line, reason):
    tokens = b"\xef\xbb\xbf1_0123456789.jpg#0\tA dog .\n\n" + line + b"\n1_0123456789.jpg#2\tA cat\tsits .\n"
    write(tmp_path, {"a.token": tokens})
    assert list(read_tokens(tmp_path / "a.token")) == [
        Text("flickr:1", "A dog .", "caption", "a.token:1"),
        LeftOut("line", "a.token:3", reason, captions=1),
        Text("flickr:1", "A cat\tsits .", "caption", "a.token:4"),
    ]


KAGGLE_FLICKR30K = """\
image_name| comment_number| comment
1000092795.jpg| 0| Two young guys with shaggy hair look at their hands .
1000092795.jpg| 1| " A sign " reads | exit | .
2199200615.jpg| 4   A dog runs across the grass .
2199200615.jpg| 3|
2199200615.jpg| 2
2199200615.jpg| A dog without a number .
2199200615.jpg| | A dog without a number .
2199200615.jpg| 4th of July .
2199200615.jpg
1000092795.jpg|2|No spaces .
"""


def test_flickr30k_as_kaggle_has_it(tmp_path):
    folder = write(tmp_path, {"flickr30k_images/1000092795.jpg": None, "results.csv": KAGGLE_FLICKR30K})

    def left_out(line: int, text: str) -> LeftOut:
        reason = f"expected name.jpg| number| caption, got '2199200615.jpg{text}'"
        return LeftOut("line", f"results.csv:{line}", reason, captions=1)

    assert list(read_flickr30k(folder)) == [
        Picture("flickr:1000092795", "1000092795.jpg", folder / "flickr30k_images" / "1000092795.jpg"),
        Text("flickr:1000092795", "Two young guys with shaggy hair look at their hands .", "caption", "results.csv:2"),
        Text("flickr:1000092795", '" A sign " reads | exit | .', "caption", "results.csv:3"),
        Text("flickr:2199200615", "A dog runs across the grass .", "caption", "results.csv:4"),
        Text("flickr:2199200615", "", "caption", "results.csv:5"),
        Text("flickr:2199200615", "", "caption", "results.csv:6"),
        left_out(7, "| A dog without a number ."),
        left_out(8, "| | A dog without a number ."),
        left_out(9, "| 4th of July ."),
        left_out(10, ""),
        Text("flickr:1000092795", "No spaces .", "caption", "results.csv:11"),
        Note('results.csv: 1 rows without the second "|" were repaired'),
        Note(f"flickr30k: {NO_LISTS}"),
    ]


def test_a_row_of_kaggles_flickr30k_that_is_not_utf_8_is_reported(tmp_path):
    write(tmp_path, {"results.csv": b"1.jpg| 0| A d\xf6g .\n1.jpg| 1| A cat .\n"})
    assert list(read_kaggle_bars(tmp_path / "results.csv")) == [
        LeftOut("line", "results.csv:1", "not UTF-8: byte 0xf6 at position 13", captions=1),
        Text("flickr:1", "A cat .", "caption", "results.csv:2"),
    ]


@pytest.mark.parametrize(
    ("pictures", "captions"),
    [
        ("flickr30k-images", ""),
        ("flickr30k_images", ""),
        ("flickr30k_images/flickr30k_images", "flickr30k_images/"),
        ("flickr30k_images/flickr30k_images", ""),
        ("flickr30k_images/flickr30k_images/flickr30k_images", "flickr30k_images/"),
        ("Images", ""),
        ("images", ""),
        ("images/flickr30k_images", ""),
    ],
)
def test_flickr30k_is_found_however_it_was_unzipped(tmp_path, pictures, captions):
    folder = write(tmp_path, {f"{pictures}/7.jpg": None, f"{captions}results.csv": "7.jpg| 0| A dog .\n"})
    assert list(read_flickr30k(folder))[:2] == [
        Picture("flickr:7", "7.jpg", folder / pictures / "7.jpg"),
        Text("flickr:7", "A dog .", "caption", "results.csv:1"),
    ]


@pytest.mark.parametrize(
    ("dataset", "reader", "pictures", "name", "others"),
    [
        ("flickr30k", read_flickr30k, "flickr30k-images", "7.jpg", ["results_20130124.token", "results.csv"]),
        ("flickr8k", read_flickr8k, "Flicker8k_Dataset", "7_0123456789.jpg", ["Flickr8k.token.txt", "captions.txt"]),
    ],
)
def test_karpathys_files_of_flickr_rule(tmp_path, dataset, reader, pictures, name, others):
    image = {
        "sentids": [0, 1],
        "imgid": 0,
        "sentences": [sentence("A dog.", 0), sentence("A brown dog .", 1)],
        "split": "val",
        "filename": name,
    }
    file = f"dataset_{dataset}.json"
    files = {file: karpathy(dataset, image), f"{pictures}/{name}": None, **dict.fromkeys(others, "not read")}
    folder = write(tmp_path, files | {"Flickr_8k.trainImages.txt": name})
    assert list(reader(folder)) == [
        Picture("flickr:7", name, folder / pictures / name),
        Note(f"{dataset}: captions and splits come from {file}; {', '.join(others)} was not read"),
        Listed("flickr:7", "validation", f"{file}:images[0]"),
        Text("flickr:7", "A dog.", "caption", f"{file}:0"),
        Text("flickr:7", "A brown dog .", "caption", f"{file}:1"),
    ]


@pytest.mark.parametrize("texts", ["", "Flickr8k_text/"])
@pytest.mark.parametrize("pictures", ["Flicker8k_Dataset", "Flickr8k_Dataset", "Flickr8k_Dataset/Flicker8k_Dataset"])
def test_flickr8k_as_its_authors_distribute_it(tmp_path, texts, pictures):
    """The official file has captions of a picture that does not exist."""
    names = ["1000268201_693b08cb0e.jpg", "1001773457_577c3a7d70.jpg"]
    folder = write(
        tmp_path,
        {
            **{f"{pictures}/{name}": None for name in names},
            f"{texts}Flickr8k.token.txt": f"{names[0]}#0\tA child .\n{names[1]}#4\tTwo dogs .\n"
            "2258277193_586949ec62.jpg.1#0\tpeople waiting for the subway\n",
            f"{texts}Flickr8k.lemma.token.txt": "not read",
            f"{texts}Flickr_8k.trainImages.txt": f"{names[0]}\n",
            f"{texts}Flickr_8k.devImages.txt": f"\n{names[1]}\r\n",
            f"{texts}Flickr_8k.testImages.txt": "3385593926_d3e9c21170.jpg",
        },
    )
    assert list(read_flickr8k(folder)) == [
        Picture("flickr:1000268201", names[0], folder / pictures / names[0]),
        Picture("flickr:1001773457", names[1], folder / pictures / names[1]),
        Text("flickr:1000268201", "A child .", "caption", "Flickr8k.token.txt:1"),
        Text("flickr:1001773457", "Two dogs .", "caption", "Flickr8k.token.txt:2"),
        Text("flickr:2258277193", "people waiting for the subway", "caption", "Flickr8k.token.txt:3"),
        Listed("flickr:1000268201", "train", "Flickr_8k.trainImages.txt:1"),
        Listed("flickr:1001773457", "validation", "Flickr_8k.devImages.txt:2"),
        Listed("flickr:3385593926", "test", "Flickr_8k.testImages.txt:1"),
    ]


def test_flickr8k_as_kaggle_has_it(tmp_path):
    captions = (
        "image,caption\n"
        "1000268201_693b08cb0e.jpg,A child in a pink dress .\n"
        '1001773457_577c3a7d70.jpg,"A black dog , and a white dog ."\n'
        '1001773457_577c3a7d70.jpg,"A sign reads "" Stop "" , twice ."\n'
        "1001773457_577c3a7d70.jpg,A black dog , and a white dog .\n"
        "1001773457_577c3a7d70.jpg\n"
        ",A dog .\n"
        "1001773457_577c3a7d70.jpg,\n"
    )
    files = {
        "Images/1000268201_693b08cb0e.jpg": None,
        "captions.txt": captions.encode() + b"2_0123456789.jpg,A d\xf6g .\n",
    }
    folder = write(tmp_path, files)

    def left_out(line: int, reason: str) -> LeftOut:
        return LeftOut("line", f"captions.txt:{line}", reason, captions=1)

    assert list(read_flickr8k(folder)) == [
        Picture("flickr:1000268201", "1000268201_693b08cb0e.jpg", folder / "Images" / "1000268201_693b08cb0e.jpg"),
        Text("flickr:1000268201", "A child in a pink dress .", "caption", "captions.txt:2"),
        Text("flickr:1001773457", "A black dog , and a white dog .", "caption", "captions.txt:3"),
        Text("flickr:1001773457", 'A sign reads " Stop " , twice .', "caption", "captions.txt:4"),
        left_out(5, "more fields than columns"),
        left_out(6, "the row has no image or no caption"),
        left_out(7, "the row has no image or no caption"),
        Text("flickr:1001773457", "", "caption", "captions.txt:8"),
        left_out(9, "not UTF-8"),
        Note(f"flickr8k: {NO_LISTS}"),
    ]


def test_photographs_of_a_phone_do_not_get_identities_of_flickr():
    names = ["20210304_123456.jpg", "20210304_123512.jpg", "20210304_123600.jpg"]
    assert len({flickr_identity(name) for name in names}) == 3
    assert flickr_identity("2258277193_586949ec62.jpg.1") == flickr_identity("2258277193.jpg") == "flickr:2258277193"


KAGGLE = {
    "bars": "image_name| comment_number| comment\n7.jpg| 0| A dog , a cat .\n",
    "commas": 'image_name,comment_number,comment\n7.jpg,0," A dog , a cat ."\n',
    "two columns": 'Image,Caption\n7.jpg,"A dog , a cat ."\n',
    "tokens": "7.jpg#0\tA dog , a cat .\n",
}


@pytest.mark.parametrize("name", ["results.csv", "captions.txt", "results_20130124.token", "Flickr8k.token.txt"])
@pytest.mark.parametrize("export", KAGGLE)
@pytest.mark.parametrize("reader", [read_flickr30k, read_flickr8k])
def test_each_header_is_known_under_each_name(tmp_path, reader, export, name):
    folder = write(tmp_path, {"Images/7.jpg": None, name: KAGGLE[export]})
    (text,) = [item for item in reader(folder) if isinstance(item, Text)]
    assert (text.identity, text.text) == ("flickr:7", "A dog , a cat .")


def test_an_open_quote_in_kaggles_captions_is_told_for_every_line(tmp_path):
    lines = ["image,caption", "1.jpg,A dog .", '2.jpg,"A cat .', "3.jpg,A hog .", "4.jpg,A cow ."]
    items = list(read_flickr8k(write(tmp_path, {"Images/1.jpg": None, "captions.txt": "\n".join(lines)})))
    assert [item.text for item in items if isinstance(item, Text)] == ["A dog ."]
    assert [item.where for item in items if isinstance(item, LeftOut)] == [f"captions.txt:{n}" for n in (3, 4, 5)]
