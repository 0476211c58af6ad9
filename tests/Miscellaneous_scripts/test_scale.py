"""Benchmark.py scale: its data, its arithmetic and its chart. No size is measured here: that takes minutes."""

import subprocess
import sys

import pytest
from PIL import Image

from Miscellaneous_scripts import Benchmark
from Miscellaneous_scripts.benchmarks import coco_like, photographs, scale
from sources.coco import read_coco
from sources.items import Picture, Text
from sources.narratives import read_narratives
from sources.sharegpt4v import read_sharegpt4v

COUNT = 9  # of three photographs


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The pictures and texts of 9 photographs, made from 3 drawn ones."""
    folder = tmp_path_factory.mktemp("scale")
    photographs.draw_photographs(folder / "source", 3)
    captions = coco_like.read_captions(folder / "source")
    made = coco_like.Collection.at(folder / "coco")
    (made.coco / "annotations").mkdir(parents=True)
    pictures = folder / "source" / photographs.PICTURES
    job = coco_like.MakePictures(pictures, tuple(sorted(captions)), made.coco / coco_like.PART, 0, COUNT)
    job.run()
    coco_like.write_texts(made, captions, COUNT)
    return made, job, captions


def test_the_readers_of_coco_read_it(made):
    files, _, _ = made
    items = list(read_coco(files.coco))
    assert all(isinstance(item, (Picture, Text)) for item in items), "nothing is left out"
    pictures = [item.path for item in items if isinstance(item, Picture)]
    texts = [item.text for item in items if isinstance(item, Text)]
    assert len(pictures) == COUNT and len(texts) == 5 * COUNT + 1
    assert len({path.read_bytes() for path in pictures}) == COUNT
    with Image.open(pictures[0]) as picture:
        assert min(picture.size) == coco_like.SIDE
    narratives = list(read_narratives(files.narratives))
    assert len(narratives) == COUNT + 2 and all(item.regions for item in narratives)
    dense = list(read_sharegpt4v(files.dense))
    assert len(dense) == COUNT and min(len(item.text.split()) for item in dense) > 60


def test_the_same_folder_gives_the_same_files(made, tmp_path):
    files, job, captions = made
    again = coco_like.Collection.at(tmp_path)
    (tmp_path / "annotations").mkdir()
    coco_like.write_texts(again, captions, COUNT)
    for one, two in ((files.narratives, again.narratives), (files.dense, again.dense)):
        assert one.read_bytes() == two.read_bytes()
    job.write(4, tmp_path / "4.jpg")
    assert (tmp_path / "4.jpg").read_bytes() == (job.folder / coco_like.name_of(4)).read_bytes()


def test_words_are_replaced_by_words_of_their_pool():
    captions = {"1.jpg": ["A red dog and a cat .", "A blue dog ."]}
    exchange = coco_like.Exchange(captions)
    found = {text for seed in range(40) for text in exchange.texts(captions["1.jpg"], coco_like.random.Random(seed))}
    words = set(" ".join(found).lower().split())
    assert words == {"a", "red", "blue", "dog", "cat", "and", "."} and len(found) > 4


def test_too_little_room_is_refused_before_the_work(tmp_path):
    with pytest.raises(OSError, match=r"photographs need .* GB are free"):
        coco_like.check_room(tmp_path, 10**12)


def test_exponents():
    assert scale.slope([(10, 3), (20, 6), (40, 12)]) == pytest.approx(1)
    assert scale.slope([(10, 1), (20, 4)]) == pytest.approx(2)
    assert scale.slope([(10, 1)]) is None and scale.slope([(10, 0), (20, 1)]) is None


def size(count):
    stage = {
        "seconds": count / 100,
        "cpu_seconds": count / 50,
        "largest_mb": 400.0,
        "all_mb": 900.0,
        "mapped_mb": 1000.0,
    }
    reading = {"open": 0.01, "first batch": 0.05, "order": count / 1e6, "batches": 3.0, "texts": 1000}
    reading |= {"batch": 0.015, "waiting": 0.01}
    shared = {"photographs": count, "texts": 5 * count, "words": 50 * count, "copies": 0, "bytes": {"plan": 10**6}}
    return {**shared, "stages": dict.fromkeys(("build", "plan", "batches"), stage), "reading": reading}


def test_the_results_are_printed_and_drawn(tmp_path, capsys):
    sizes = [size(1000), size(10_000)]
    found = scale.exponents(sizes)
    assert found["build"] == pytest.approx(1) and found["plan, memory"] == pytest.approx(0)
    scale.print_size(sizes[0])
    scale.print_exponents(found)
    printed = capsys.readouterr().out
    assert "1,000 photographs, 5,000 texts" in printed and "exponents: build 1.00" in printed
    scale.draw({"sizes": sizes, "exponents": found}, tmp_path / "scale.png")
    with Image.open(tmp_path / "scale.png") as chart:
        assert chart.width > chart.height > 500


def test_the_memory_of_a_session():
    code = "held = b'x' * 30_000_000; print(1, flush=True); input()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, start_new_session=True) as process:
        assert process.stdout.readline()
        ((own, whole),) = scale.memory_of_session(process.pid).values()
        process.communicate(b"\n")
    assert 30 < own <= whole < 60
    assert scale.memory_of_session(process.pid) == {}


def test_an_error_of_a_process_is_reported(tmp_path):
    with pytest.raises(ValueError, match="failed: ZeroDivisionError"):
        scale.watch(["-c", "1 / 0"], tmp_path / "log")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["scale", "open"], "scale runs alone"),
        (["scale", "--count", "4"], "must be at least 8"),
        (["open", "--count", "10,20"], "only scale takes several numbers"),
        (["--count", "ten"], "'ten' is not a whole number"),
    ],
)
def test_wrong_arguments(args, message, capsys):
    with pytest.raises(SystemExit):
        Benchmark.main(args)
    assert message in capsys.readouterr().err
