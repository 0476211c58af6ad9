"""Predict: one picture and one text, a data set, the terminal, and errors, as a user meets them."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, run_process, run_script
from PIL import Image
from rich.cells import cell_len
from scripts import SCENES_SMALL

import Predict
from judging.judge import SHIPPED, Judge
from judging.suggest import Suggestion
from sources import scenes

TEXT = "A red ball is on the left side of the picture."


@pytest.fixture(scope="module")
def model(trained):
    return trained / "Models" / "small"


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "scene.png"
    scenes.draw(scenes.make_scene(1)).save(path)
    return path


def test_the_verdict_is_that_of_the_judge(model, picture):
    verdict = Judge.load(model, "cpu").check(picture, TEXT)
    shown = run_process("Predict.py", picture, TEXT, "--model", model, status=Predict.STATUS[verdict.verdict]).stdout
    assert shown.startswith(f"{verdict.verdict.upper()}  ")
    assert f"{verdict.score:.3f}" in shown and f"probability {verdict.probability:.2f}" in shown
    assert len(shown.splitlines()) == 2 + len(TEXT.split())
    assert "\033" not in shown  # no colours in a pipe


@pytest.mark.parametrize(("threshold", "word", "status"), [(-1.0, "MATCH", 0), (1.0, "MISMATCH", 1)])
def test_the_threshold_decides_the_word_and_the_status(model, picture, tmp_path, threshold, word, status):
    folder = shutil.copytree(model, tmp_path / "small")
    settings = json.loads((folder / "threshold.json").read_text())
    (folder / "threshold.json").write_text(json.dumps(settings | {"threshold": threshold}))
    shown = run_script("Predict.py", picture, TEXT, "--model", folder, status=status).stdout
    assert shown.startswith(f"{word}  score ")


def test_json_holds_everything(model, picture):
    verdict = Judge.load(model, "cpu").check(picture, TEXT)
    args = (picture, TEXT, "--model", model, "--json", "--suggest")
    result = json.loads(run_script("Predict.py", *args, status=Predict.STATUS[verdict.verdict]).stdout)
    assert result["score"] == pytest.approx(verdict.score, abs=1e-5) and result["match"] is verdict.match
    assert [TEXT[word["start"] : word["end"]] for word in result["words"]] == TEXT.rstrip(".").split()
    assert result["image"] == str(picture) and result["text"] == TEXT and result["model"] == "small"
    assert all(found["after"] > found["before"] for found in result["suggestions"])


NOISE = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)  # unlike every drawn scene
STRANGE = "the picture is unlike those that the model was trained on (drawn scenes)"


@pytest.mark.parametrize(
    ("strange", "text", "why"),
    [
        (True, "A red ball.", STRANGE),
        (False, "Ein roter Ball.", "the model knows 1 of 3 content words"),
        (True, "xqzzt", f"{STRANGE} and the model knows 0 of 1 content word"),
    ],
)
def test_what_is_outside_is_unsure_and_says_why(strange, text, why, picture, tmp_path):
    if strange:
        Image.fromarray(NOISE).save(tmp_path / "noise.png")
    image = tmp_path / "noise.png" if strange else picture
    lines = run_script("Predict.py", image, text, "--model", SCENES_SMALL, status=3).stdout.splitlines()
    assert lines[0].startswith("UNSURE  score ") and "probability" not in lines[0]
    assert lines[1] == f"  because {why}"
    assert lines[2] == "model scenes-small, trained on 6,036 drawn scenes"
    found = json.loads(run_script("Predict.py", image, text, "--model", SCENES_SMALL, "--json", status=3).stdout)
    assert (found["verdict"], found["why"], found["outside"]) == ("unsure", why, True)
    assert found["match"] is (found["score"] >= found["threshold"])  # stays, for programs of earlier versions
    assert found["trained_on"] == "6,036 drawn scenes"


def test_a_model_of_an_earlier_version_judges_every_picture(tmp_path):
    folder = shutil.copytree(SCENES_SMALL, tmp_path / "earlier")
    (folder / "world.safetensors").unlink()
    Image.fromarray(NOISE).save(tmp_path / "noise.png")
    args = (tmp_path / "noise.png", "A red ball.", "--model", folder)
    lines = run_script("Predict.py", *args, status=None).stdout.splitlines()
    assert lines[0].startswith(("MATCH", "MISMATCH")) and lines[1] == "model earlier"


def with_limits(tmp_path, lower, upper):
    """The shipped model with these limits for a risk of 0.1."""
    folder = shutil.copytree(SCENES_SMALL, tmp_path / "limits")
    settings = json.loads((folder / "threshold.json").read_text())
    (folder / "threshold.json").write_text(json.dumps(settings | {"limits": [[0.1, lower, upper]]}))
    return folder


@pytest.mark.parametrize(
    ("lower", "upper", "true", "false"),
    [
        (-0.1, 0.1, 0, 1),
        (-0.1, 0.99, 3, 1),
        (-0.1, None, 3, 1),
        (-0.9999, 0.1, 0, 3),
        (None, None, 3, 3),
    ],
)
def test_a_risk_decides_only_beyond_its_limits(lower, upper, true, false, tmp_path):
    folder = with_limits(tmp_path, lower, upper)
    texts = "A striped yellow umbrella on a beach.", "A striped yellow umbrella and a green tree on a beach."
    for text, status in zip(texts, (true, false)):
        args = ("Plots/example_scene.png", text, "--model", folder)
        shown = run_script("Predict.py", *args, "--risk", 0.15, status=status).stdout
        assert ("  because at a risk of 0.1 " in shown) is (status == 3)
        assert run_script("Predict.py", *args, status=0 if text is texts[0] else 1)  # without --risk as before


def test_a_model_without_limits_names_the_command_that_makes_them(picture, tmp_path):
    folder = shutil.copytree(SCENES_SMALL, tmp_path / "earlier")
    settings = json.loads((folder / "threshold.json").read_text())
    settings.pop("limits", None)
    (folder / "threshold.json").write_text(json.dumps(settings))
    done = run_script("Predict.py", picture, "a ball", "--model", folder, "--risk", 0.1, status=2)
    assert f"python Evaluate_test.py --model {folder}" in done.stderr and done.stderr.count("\n") == 1
    for risk in ("0", "0.001", "0.5", "nan"):
        done = run_script("Predict.py", picture, "a ball", "--model", SCENES_SMALL, "--risk", risk, status=2)
        assert "must be at least 0.01" in done.stderr


def test_a_misspelled_word_gets_the_known_one(picture):
    args = (picture, "A yellow umbrela and a bal on a beach", "--model", SCENES_SMALL)
    shown = run_script("Predict.py", *args, status=None).stdout
    assert "umbrela" in shown and "(not in the vocabulary; did you mean umbrella?)" in shown
    assert shown.count("did you mean") == 1  # "bal" is too short
    words = {
        word["text"]: word
        for word in json.loads(run_script("Predict.py", *args, "--json", status=None).stdout)["words"]
    }
    assert words["umbrela"]["meant"] == "umbrella" and words["bal"]["meant"] is words["beach"]["meant"] is None


def test_a_table_and_its_page_name_what_is_unsure(picture, tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "noise.png")
    rows = [(picture.name, "a red ball"), ("noise.png", "a red ball"), (picture.name, "ein roter Ball")]
    (tmp_path / "pairs.csv").write_text("image,caption\n" + "".join(f"{image},{text}\n" for image, text in rows))
    out, page = tmp_path / "scored.csv", tmp_path / "page.html"
    args = (
        "--pairs",
        tmp_path / "pairs.csv",
        "--out",
        out,
        "--report",
        page,
        "--model",
        SCENES_SMALL,
        "--device",
        "cpu",
    )
    shown = run_script("Predict.py", *args).stdout
    assert ", 2 unsure (see the column why); model scenes-small, trained on 6,036 drawn scenes" in shown
    with out.open() as file:
        found = list(csv.DictReader(file))
    assert [row["verdict"] for row in found] == [
        "match" if found[0]["match"] == "true" else "mismatch",
        *["unsure"] * 2,
    ]
    assert [row["why"] for row in found] == ["", STRANGE, "the model knows 1 of 3 content words"]
    written = page.read_text()
    assert "model scenes-small, trained on 6,036 drawn scenes" in written and "On 2 the model is unsure." in written
    assert f"Unsure, because {STRANGE}: score" in written


def test_a_heat_map_is_written(model, picture, tmp_path, capsys):
    out = tmp_path / "heat" / "out.png"
    with pytest.raises(SystemExit):
        Predict.main([str(picture), TEXT, "--model", str(model), "--heatmap", str(out), "--device", "cpu"])
    with Image.open(out) as plot:
        assert plot.width > 600 and plot.height > 200
    assert str(out) in capsys.readouterr().err


@pytest.mark.parametrize("columns", [80, 50])
def test_a_verdict_fits_a_terminal(columns, model, picture, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    words = f"{300 * 'x'} Donaudampfschifffahrtsgesellschaft {40 * '漢'}"
    text = f"A red {words} ball is on the left side of the picture. " + "a ball " * 40
    verdict = Judge.load(model, "cpu").check(picture, text)._replace(score=-0.123, threshold=-0.456, match=True)
    high = tuple(word._replace(score=1.0) for word in verdict.words)
    Predict.print_verdict(verdict._replace(words=high))
    found = Suggestion("red", "green", 2, 5, "colour", 0.1, 0.2, text)
    Predict.print_suggestions([found, found._replace(text="A ball.")])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cell_len, lines[1:])) <= max(columns, 66) and len(lines) > 64
    assert max(map(cell_len, lines[:2])) <= 80
    assert sum("…" in line and "(not in the vocabulary)" in line for line in lines) == 3
    corrected = lines.index("  red → green (0.10 → 0.20)")
    assert lines[corrected + 1] == "    A red" and lines[-1] == "  red → green (0.10 → 0.20)  A ball."


def test_lines_in_a_pipe_are_whole(model, picture, capsys):
    verdict = Judge.load(model, "cpu").check(picture, f"A {300 * 'x'} ball.")
    Predict.print_verdict(verdict)
    assert f"  {300 * 'x'}  " in capsys.readouterr().out
    Predict.print_suggestions([Suggestion("red", "green", 2, 5, "colour", 0.1, 0.2, "A green ball " * 20)])
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_no_unknown_word_has_a_heat_map(ending, model, picture, tmp_path, capsys):
    out = tmp_path / f"heat.{ending}"
    for text, maps in (("A red zeppelin.", "red"), ("A zeppelin.", "none, because no word that names something is")):
        with pytest.raises(SystemExit):
            Predict.main([str(picture), text, "--model", str(model), "--heatmap", str(out), "--device", "cpu"])
        assert f"heat maps in {out}: {maps}" in capsys.readouterr().err
        assert out.stat().st_size > 1000


@pytest.mark.parametrize(
    ("image", "text"), [("A red ball", "scene.png"), ("a red ball " * 40, "scene.png"), ("A red ball", "gone.JPG")]
)
def test_a_picture_after_the_text_gets_the_right_command(image, text, picture, monkeypatch, capsys):
    monkeypatch.chdir(picture.parent)
    monkeypatch.setattr(Judge, "load", None)  # it is refused before a model is loaded
    with pytest.raises(SystemExit) as stopped:
        Predict.main([image, text])
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and error.count("\n") == 1
    assert error.endswith(f'the picture comes first, then the text: python Predict.py {text} "{image}"\n')


def test_a_picture_without_an_ending_and_a_text_that_ends_like_one_go_together(model, picture, monkeypatch, capsys):
    monkeypatch.chdir(picture.parent)
    picture.rename("scene")
    for image, text in (("scene", "the file ball.png"), ("absent", "a ball"), ("absent.png", "ball.png")):
        with pytest.raises(SystemExit):
            Predict.main([image, text, "--model", str(model), "--device", "cpu"])
    assert "comes first" not in capsys.readouterr().err


@pytest.mark.parametrize("args", [["scene.png", "--", "- a red ball"], ["--", "scene.png", "-red ball"]])
def test_a_text_may_begin_with_a_dash(args, model, picture, monkeypatch, capsys):
    monkeypatch.chdir(picture.parent)
    with pytest.raises(SystemExit) as stopped:
        Predict.main(["--model", str(model), "--device", "cpu", "--json", *args])
    assert stopped.value.code in (0, 1)
    assert json.loads(capsys.readouterr().out)["text"] == args[-1]


def test_ctrl_c_gets_one_line(monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Predict, "judge_one", interrupt)
    monkeypatch.setattr("judging.web.serve", interrupt)
    with pytest.raises(SystemExit) as stopped:
        Predict.main(["--device", "cpu"])
    error = capsys.readouterr().err
    assert stopped.value.code == 130 and error.endswith(": interrupted\n") and error.count("\n") == 1
    assert "error" not in error
    Predict.main(["--web", "--device", "cpu"])  # Ctrl-C is how the web page is ended
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(os.name != "posix", reason="Windows has no exit status of a signal")
@pytest.mark.parametrize("ignored", [False, True])
def test_ctrl_c_while_torch_is_imported_gives_no_traceback(ignored, tmp_path):
    (tmp_path / "tyro.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT); raise SystemExit(7)")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
    try:
        done = subprocess.run(
            [sys.executable, ROOT / "Predict.py"],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert (done.returncode, done.stderr) == (7 if ignored else -signal.SIGINT, "")


def test_colours_are_for_terminals(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert Predict.coloured("word", True) == "\033[32mword\033[0m"
    assert Predict.coloured("word", False, bold=True) == "\033[1;31mword\033[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Predict.coloured("word", True) == "word"


@pytest.mark.parametrize(
    ("model", "picture"), [(SHIPPED, "example_astronaut.jpg"), (SCENES_SMALL, "example_scene.png")]
)
def test_without_a_picture_an_example_of_the_model_s_kind_is_judged(model, picture):
    shown = run_script("Predict.py", "--model", model).stdout.splitlines()
    assert shown[0].startswith(f"Plots/{picture}: ") and shown[1].startswith("MATCH")


def test_it_works_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for args in ([], ["--json"]):
        with pytest.raises(SystemExit) as stopped:
            Predict.main([*args, "--device", "cpu"])
        assert stopped.value.code == 0


@pytest.mark.parametrize("mode", [["--web"], ["a.png", "a ball"]])
def test_a_wrong_device_names_the_flag(mode, capsys):
    with pytest.raises(SystemExit) as stopped:
        Predict.main([*mode, "--device", "gpu"])
    assert stopped.value.code == 2 and "error: --device gpu: did you mean cuda?" in capsys.readouterr().err


def test_the_judge_of_photographs_is_the_default_whatever_was_trained(monkeypatch, tmp_path, trained):
    shutil.copytree(trained / "Models" / "small", tmp_path / "Models" / "scenes")
    monkeypatch.chdir(tmp_path)
    shown = run_script("Predict.py", "--device", "cpu").stdout.splitlines()
    assert shown[2].startswith("model photos, trained on ") and "photographs of Flickr8k" in shown[2]
    assert Judge.load(device="cpu").name == "photos"  # one rule for Predict.py and Python


@pytest.mark.parametrize(("folder", "most"), [(SHIPPED, 64 * 2**20), (SCENES_SMALL, 2 * 2**20)])
def test_the_shipped_models_are_small_and_whole(folder, most):
    assert sum(path.stat().st_size for path in Path(folder).iterdir()) <= most
    judge = Judge.load(folder, "cpu", risk=0.2)
    assert judge.trained_on and judge.loaded.model.world is not None and judge.loaded.threshold.accuracies


@pytest.mark.parametrize(
    ("content", "text", "message"),
    [
        (None, "a ball", "absent.jpg"),
        (b"", "a ball", "empty"),
        (b"no picture at all", "a ball", "scene.jpg"),
        ("whole", "?!", "has no words"),
        ("whole", "A \udced ball", "text 'A \\udced ball': it has half of a character (U+DCED) at position 2"),
    ],
)
def test_what_cannot_be_judged_gets_one_line(model, picture, tmp_path, content, text, message):
    path = picture
    if content is None:
        path = tmp_path / "absent.jpg"
    elif isinstance(content, bytes):
        path = tmp_path / "scene.jpg"
        path.write_bytes(content)
    done = run_script("Predict.py", path, text, "--model", model, status=2)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["scene.png"], "a text is needed"),
        (["scene.png", "a ball", "--web"], "--web takes no picture"),
        (["scene.png", "a ball", "--auth", "a:b"], "--auth belongs to --web"),
        *((["--web", "--auth", auth], "--auth: must be USER:PASSWORD") for auth in ("a", "a:", ":b", "")),
        (["--pairs", "a.csv"], "--pairs needs --out FILE"),
        (["--out", "a.csv"], "--out needs --pairs"),
        (["scene.png", "a ball", "--pairs", "a.csv", "--out", "b.csv"], "takes no single picture"),
        (["--pairs", "a.csv", "--out", "b.csv", "--heatmap", "c.png"], "--heatmap needs one picture"),
        (["--pairs", "a.csv", "--report", "b.html", "--worst", "0"], "--worst 0"),
        (["scene.png", "a ball", "--model", "Models/none"], "there is no folder Models/none; train a model with"),
        (["scene.png", "a ball", "--model", "Models/none"], f"the model that comes with the program: {SHIPPED}"),
        (["scene.png", "a ball", "--model", "Models/none.zip"], f"the model that comes with the program: {SHIPPED}"),
        (["scene.png", "A", "red", "ball"], 'put a text in quotes, for example "A red ball"'),
        (["scene.png", "-red"], 'put -- before a text that begins with a dash: -- "-red"'),
        (["scene.png", "a ball", "--sugest"], "did you mean --suggest?"),
        (["--pairs", "a.csv", "--suggest", "--web"], "--web takes no picture"),
        (["--pairs", "a.csv", "--out", "b.txt"], "the name must end in .csv"),
        (["--nonsense"], "nonsense"),
        (["--worst", "3"], "--worst needs --report"),
        (["--pairs", "a.csv", "--out", "b.csv", "--suggest"], "--suggest with --pairs needs --report"),
        (["--port", "80"], "belong to --web"),
        (["", "a ball"], "image: the name is empty"),
        (["a.png", "a ball", "--heatmap", "a.jpg"], "must end in .png"),
        (["a.png", "a ball", "--heatmap", "./a.png"], "--heatmap would replace a.png"),
        (["--pairs", "a.csv", "--report", "a.csv"], "must end in .html"),
    ],
)
def test_flags_that_exclude_each_other_get_one_line(args, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        Predict.main([*args, "--device", "cpu"])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_an_unexpected_error_does_not_end_with_the_status_of_a_mismatch(monkeypatch, capsys):
    monkeypatch.setattr(Predict, "judge_one", lambda *_: 1 / 0)
    with pytest.raises(SystemExit) as stopped:
        Predict.main(["--device", "cpu"])
    assert stopped.value.code == 2 and "ZeroDivisionError" in capsys.readouterr().err


def test_a_data_set_from_its_rows_to_the_page(model, picture, tmp_path, capsys):
    (tmp_path / "pairs.csv").write_text(
        f'image,caption\n{picture.name},"{TEXT}"\n{picture.name},two green dogs\nnone.png,a\n'
    )
    out, page = tmp_path / "scored.csv", tmp_path / "page.html"
    args = ["--pairs", tmp_path / "pairs.csv", "--out", out, "--report", page, "--model", model, "--device", "cpu"]
    Predict.main([*map(str, args), "--worst", "1"])
    message = capsys.readouterr().out
    assert "3 rows" in message and "1 without a score" in message and "the 1 most suspicious caption\n" in message
    assert len(out.read_text().splitlines()) == 4 and page.read_text().count('class="card"') == 1
    with pytest.raises(SystemExit):
        Predict.main([*map(str, args)])
    assert "replace it with --overwrite" in capsys.readouterr().err


def test_a_verdict_imports_no_databases_and_no_large_libraries():
    heavy = "{'scipy', 'matplotlib', 'spacy', 'pyarrow', 'sklearn', 'Negative_map', 'DataBase_functions'}"
    code = f"import sys, Predict; print(sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"
