"""The tables of an evaluation: what they show, and that they fit 80 columns whatever their names and figures are."""

import numpy as np
import pytest

from common.metrics import Interval, interval
from evaluation.comparison import names_of, print_differences
from evaluation.external import BenchmarkResult
from evaluation.printing import STANDARD, count, percent, print_results, with_interval
from evaluation.retrieval import RANKINGS
from evaluation.rows import Row

LONG = "a-name-that-somebody-gave-to-a-subset-of-a-benchmark-of-theirs"
RNG = np.random.default_rng(0)
WORDS = {"n": 3833, "accuracy": Interval(0.9, 0.8, 1), "chance": 0.1}


def samples(value):
    return np.r_[value, np.clip(value + RNG.normal(0, 0.02, 200), 0, 1)]


def row(section, name, n=3835, value=0.9, names=(*STANDARD, "pairwise"), blind=True):
    judges = {"tfidf": samples(0.5), "lstm": samples(0.51)} if blind else {}
    pairwise = {"tfidf": 0.46, "lstm": 0.44} if blind and "pairwise" in names else {}
    return Row(section, name, n, n, {figure: samples(value) for figure in names}, judges, pairwise)


def benchmark(name, rows, **more):
    result = {
        **{"benchmark": name, "photographs": 1234, "claims": 123_456, "missing_pictures": [], "trained_on": []},
        **{"unreadable_pictures": {}, "left_out": [], "claims_without_picture": 0},
    }
    return BenchmarkResult(result | more, rows)


ROWS = [
    row("kind", "mixture"),
    row("category", "number", 163, value=0.5),
    row("category", "food", 29),
    row("category", LONG, 30, value=1.0),
    row("source", "flickr8k", 1_234_567),
    row("length", "41 words or more"),
]
SCORES = ("text_score", "image_score", "group_score")
LOST = {
    "missing_pictures": [f"{LONG}-{i}.jpg" for i in range(5)],
    "claims_without_picture": 12,
    "trained_on": ["a.jpg"],
    "left_out": [
        {"what": "collection", "where": "x", "reason": "158 pairs of a picture and one of its own captions"},
        *({"what": "line", "where": f"{LONG}.csv:{i}", "reason": "the caption is empty"} for i in (3, 4)),
    ],
}
BENCHMARKS = [
    benchmark("sugarcrepe", [row("sugarcrepe", "all"), row("sugarcrepe", LONG, 12)]),
    benchmark("foil", [row("foil", "all")], word_evidence=WORDS | {"categories": {"": WORDS, LONG: WORDS}}),
    benchmark("winoground", [row("winoground", LONG, names=(*STANDARD, *SCORES), blind=False)]),
    benchmark("flickr8k-expert", [row("f", "all", names=("kendall_tau_c", "roc_auc"), blind=False)], **LOST),
    benchmark("pairs", [row("pairs", "all", names=STANDARD, value=float("nan"))]),
    benchmark(LONG, [row(LONG, LONG, names=(*STANDARD, LONG, "another_long_name"))]),
]
RESULTS = {
    "model": f"/home/somebody/projects/{LONG}/Models/{LONG}",
    "database": f"Database/{LONG}",
    "threshold": {"threshold": 0.6753, "criterion": "balanced-accuracy", "balanced_accuracy": 0.943},
    "equilibrium_threshold": 0.6913,
    **{"resamples": 1000, "test_photographs": 767, "test_captions": 3835, "trained_on": ["a"]},
    "calibration": {"ece": 0.0136, "brier": Interval(0.0488, 0.0448, 0.0533)},
    "outside": {"test_pictures": 0.0078, "test_captions": 0.0},
    "selective": {risk: {"coverage": 0.9, "error": 0.01} for risk in ("0.01", "0.05", "0.1", "0.2")},
    "word_evidence": WORDS | {"categories": {"colour": WORDS, LONG: WORDS | {"n": 3}}},
    "corrections": {
        **{"n": 100, "first_1": Interval(0.5, 0.4, 0.6), "first_1_by_chance": 0.1},
        **{"first_3": Interval(0.7, 0.6, 0.8), "first_3_by_chance": 0.2},
    },
    "retrieval": {
        ranking: {
            f"{direction}_{figure}": interval(samples(0.9))
            for direction in ("picture_to_text", "text_to_picture")
            for figure in ("recall@1", "recall@5", "recall@10", "median_rank")
        }
        for ranking in RANKINGS
    },
    "rerank_weight": 0.15,
}


def shown(capsys, full=False, chosen=True):
    print_results(RESULTS, ROWS, BENCHMARKS, chosen, full)
    return capsys.readouterr().out


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("chosen", [False, True])
def test_every_line_fits_80_columns(capsys, full, chosen):
    lines = shown(capsys, full, chosen).splitlines()
    assert max(map(len, lines)) <= 80
    assert max(map(len, lines)) > 72, "the tables use the room that there is"


@pytest.mark.parametrize("full", [False, True])
def test_a_narrow_terminal_cuts_no_figure(terminal, full):
    stdout = terminal(60, NO_COLOR="1")
    print_results(RESULTS, ROWS, BENCHMARKS, True, full)
    lines = stdout.getvalue().splitlines()
    assert max(map(len, lines)) <= 60
    assert sum("…" in line for line in lines) == 2, "only the paths of the model and of the database are cut"
    for one in ROWS:
        for name in one.samples if full else ("balanced_accuracy",):
            assert with_interval(one.figures[name]) in stdout.getvalue()


def test_a_comparison_fits_80_columns_and_names_what_is_better(capsys):
    sections = {
        "kind of false text": {"mixture (3,835)": Interval(0.012, 0.003, 0.02), "mined (3)": Interval(-0.1, -0.2, 0.1)},
        f"{LONG}: pairwise": {LONG: Interval(-0.012, -0.02, -0.003)},
    }
    print_differences(f"{LONG} minus {LONG}", sections)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    found = {line.split()[0]: line.split()[-4:] for line in lines if "[" in line}
    assert found["mixture"] == ["+1.2", "[+0.3,", "+2.0]", "better"]
    assert found["mined"][-3:] == ["-10.0", "[-20.0,", "+10.0]"]
    assert any(line.endswith("-1.2 [-2.0, -0.3]   worse") for line in lines)


def test_models_of_one_name_are_compared_with_their_folders(tmp_path):
    assert names_of(tmp_path / "a" / "x", tmp_path / "b" / "y") == ["x", "y"]
    assert names_of(tmp_path / "a" / "x", tmp_path / "b" / "x") == ["a/x", "b/x"]


def test_a_row_shows_its_figures_in_percent_and_the_better_blind_judge(capsys):
    table = shown(capsys)
    (line,) = (line for line in table.splitlines() if line.startswith("  mixture "))
    found = ROWS[0].figures
    wanted = f"3,835 {with_interval(found['balanced_accuracy'])} 90.0 90.0 90.0 51.0"
    assert line.split()[1:] == wanted.split(), "51.0 is the LSTM's, which is the better one"


def test_marks_are_shown_where_they_belong_and_explained_once(capsys):
    table = shown(capsys)
    marked = {line.split()[0]: line.split()[1:] for line in table.splitlines() if line.startswith("  ")}
    assert marked["food"][0] == "29*" and marked["flickr8k"][0] == "1,234,567"
    assert marked["number"][-1] == "51.0=" and marked["food"][-1] == "51.0"
    for meaning in ("blind: the better of two", "= not significantly better", "* n below 30"):
        assert table.count(meaning) == 1


def test_balanced_accuracy_of_validation_and_test_are_named_as_such(capsys):
    assert "balanced accuracy on the mixture: 94.3 % on validation, 90.0 % on test\n" in shown(capsys)
    stored = shown(capsys, chosen=False)
    assert "as stored, chosen for balanced-accuracy" in stored
    assert "balanced accuracy on the mixture: 90.0 % on test\n" in stored, "that of training is of other texts"


def test_full_shows_every_figure_of_the_results(capsys):
    brief, full = shown(capsys), shown(capsys, full=True)
    for name in ("average precision", "pairwise", "TF-IDF (blind)", "LSTM (blind)"):
        assert full.count(name) > brief.count(name)
    for one in (*ROWS, *(row for each in BENCHMARKS for row in each.rows)):
        for figure in one.figures.values():
            assert with_interval(figure) in full
        for judge in one.blind.values():
            assert with_interval(interval(judge)) in full
        assert all(percent(value) in full for value in one.blind_pairwise.values())
    squeezed = "".join(full.split())
    for each in (*LOST["missing_pictures"], f"{LONG}.csv:4"):
        assert each in squeezed, "all lost pictures and records are named"
    assert "recall@10" in full and "recall@10" not in brief


def test_what_a_benchmark_left_out_is_shown_with_its_figures(capsys):
    table = " ".join(shown(capsys).split())
    assert "missing or unreadable: 5 pictures" in table and "not counted: 12 claims" in table
    assert "left out: 158 pairs of a picture and one of its own captions" in table
    assert "left out: 2 broken records" in table
    assert "The model was trained on 1 of these pictures, so the figures are too high." in table
    assert "– not measured: all texts of the row have the same label." in table


def test_cells():
    assert (percent(0.94159), percent(1), percent(float("nan"))) == ("94.2", "100.0", "–")
    assert with_interval(Interval(0.942, 0.935, 0.947)) == "94.2 [93.5, 94.7]"
    assert with_interval(Interval(0.5, float("nan"), float("nan"))) == "50.0 [–, –]"
    assert (count(29), count(30), count(3835)) == ("29*", "30", "3,835")


def test_the_figures_of_ratings_need_no_blind_judge(capsys):
    ratings = shown(capsys).split("flickr8k-expert:")[1].split("\npairs:")[0]
    assert "kendall tau c" in ratings and "blind" not in ratings
