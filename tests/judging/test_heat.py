"""Heat maps: where they are bright, and what is on the figure."""

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from judging import heat
from judging.heat import heat_range, overlay, plot_heat
from judging.judge import Judge
from sources import scenes


@pytest.fixture(scope="module")
def judge():
    return Judge.load(ROOT / "Models" / "scenes-small", "cpu")


def test_a_colour_is_found_where_it_is(judge):
    """The best patch of a colour touches the only object of a scene, far more often than a random patch does."""
    hits, chances, n = 0, 0.0, 0
    for seed in range(920_000, 920_200):
        scene = scenes.make_scene(seed)
        if len(scene["objects"]) != 1:
            continue
        item = scene["objects"][0]
        verdict = judge.check(scenes.draw(scene), f"A {item['colour']} {item['kind']}.")
        hits += touches(verdict.words[1].box, item["box"])
        grid = verdict.heat.shape[1]
        boxes = [(x / grid, y / grid, (x + 1) / grid, (y + 1) / grid) for x in range(grid) for y in range(grid)]
        chances += np.mean([touches(box, item["box"]) for box in boxes])
        n += 1
    assert n >= 20 and hits / n > 2 * chances / n and hits / n > 0.6


def touches(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_the_overlay_is_bright_where_the_heat_is():
    heat = np.zeros((4, 4), np.float32)
    heat[0, 3] = 1.0
    shown = np.asarray(overlay(Image.new("RGB", (80, 40), "grey"), heat, 0.0, 1.0)).astype(int).sum(-1)
    assert shown.shape == (40, 80)
    assert shown[:8, 64:].mean() > shown[24:, :40].mean() + 150


def test_the_range_is_one_for_all_words_of_a_text(judge):
    verdict = judge.check(scenes.draw(scenes.make_scene(900_005)), "A yellow umbrella and a green tree.")
    lowest, highest = heat_range(verdict)
    named = verdict.heat[[1, 2, 5, 6]]
    assert lowest == min(0.0, named.min()) and highest == max(verdict.threshold, named.max())


def test_the_figure_holds_every_word_that_names_something(judge, tmp_path, recwarn):
    scene = scenes.draw(scenes.make_scene(900_005))
    long = (
        "A\nyellow\numbrella\nand\n" + "x" * 3000,
        "The " * 500,
        "umbrella" + "\u0301" * 50 + " in a long\n\n\n\nrow",
    )
    for text in ("A yellow umbrella and a green tree.", "An umbrella.", "The", "$5 and a $\\frac$ ball", *long):
        plot_heat(tmp_path / "heat.png", scene, judge.check(scene, text))
        with Image.open(tmp_path / "heat.png") as plot:
            assert plot.width > 300 and np.asarray(plot.convert("L")).std() > 5
    assert not recwarn.list, "matplotlib leaves the maps without room"


def test_unknown_words_get_no_panel(judge, tmp_path):
    scene = scenes.draw(scenes.make_scene(900_005))
    mixed, unknown = judge.check(scene, "A yellow zeppelin and a quokka."), judge.check(scene, "A zeppelin!")
    assert plot_heat(tmp_path / "heat.png", scene, mixed) == ["yellow"]
    assert heat_range(mixed)[1] == max(mixed.threshold, mixed.heat[1].max())  # theirs would change the scale
    assert plot_heat(tmp_path / "none.png", scene, unknown) == []
    with Image.open(tmp_path / "heat.png") as some, Image.open(tmp_path / "none.png") as none:
        assert none.width < some.width  # only the picture
        assert some.info["dpi"] == pytest.approx((200, 200), abs=0.1)


@pytest.mark.parametrize(("ending", "start"), [(".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_the_figure_can_be_vectors(judge, tmp_path, ending, start):
    scene = scenes.draw(scenes.make_scene(900_005))
    plot_heat(tmp_path / f"heat{ending}", scene, judge.check(scene, "A yellow umbrella."))
    assert (tmp_path / f"heat{ending}").read_bytes().startswith(start)


@pytest.mark.parametrize("why", ["", "it is unlike the others"])
def test_the_title_has_the_verdict_of_the_text(judge, tmp_path, monkeypatch, why):
    picture = scenes.draw(scenes.make_scene(0))
    verdict = judge.check(picture, "A red ball.")._replace(why=why)
    titles = []
    monkeypatch.setattr(heat, "save", lambda figure, path: titles.append(figure.get_suptitle()))
    plot_heat(tmp_path / "heat.png", picture, verdict)
    (title,) = titles
    assert f"\n{verdict.verdict.upper()}, score " in title and ("UNSURE" in title) is bool(why)
