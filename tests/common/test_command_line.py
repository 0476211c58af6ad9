"""common.command_line: presets and flags, and errors that are one line with a suggestion."""

import dataclasses
import io
import re
import sys
from dataclasses import dataclass, field

import pytest
import tyro
from conftest import run_process, run_script
from tqdm import tqdm

import Config
from common.command_line import counted, fail, read_command_line
from Config import PRESETS


@dataclass(frozen=True)
class Inner:
    lr: float = 0.5
    weigh_words: bool = False


@dataclass(frozen=True)
class Settings:
    """A script with two arguments that are not flags."""

    image: tyro.conf.Positional[str | None] = None
    text: tyro.conf.Positional[str | None] = None
    suggest: bool = False
    model: str = "m"
    optim: Inner = field(default_factory=Inner)


def error_of(settings, args, capsys, monkeypatch):
    """The line that a wrong command line prints, without its start."""
    monkeypatch.setattr(sys, "argv", ["Script.py"])
    with pytest.raises(SystemExit) as stop:
        read_command_line(settings, "", args)
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert error.startswith("Script.py: error: ")
    assert error.count("\n") == 1
    return error.removeprefix("Script.py: error: ").rstrip()


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--sugest"], "--sugest is not a flag; did you mean --suggest?"),
        (["--no-sugest"], "--no-sugest is not a flag; did you mean --no-suggest?"),
        (["--lr", "3"], "--lr is not a flag; did you mean --optim.lr?"),
        (["--optim.lrr=3"], "--optim.lrr is not a flag; did you mean --optim.lr?"),
        (["--optim.weight_words"], "--optim.weight_words is not a flag; did you mean --optim.weigh-words?"),
        (["a.jpg", "A ball", "--xyz"], "--xyz is not a flag; see python Script.py --help"),
        (["--xyz"], "--xyz is not a flag; see python Script.py --help"),
        (["a.jpg", "A", "red", "ball"], 'too many words: red ball; put a text in quotes, for example "A red ball"'),
        (["a.jpg", "-a ball"], '-a ball is not a flag; put -- before a text that begins with a dash: -- "-a ball"'),
        (["--model"], "--model needs a value"),
        (["--optim.lr", "fast"], "--optim.lr 'fast': not a number"),
    ],
)
def test_a_wrong_flag_gets_one_line_with_a_suggestion(args, line, capsys, monkeypatch):
    assert error_of(Settings, args, capsys, monkeypatch) == line


@pytest.mark.parametrize(("code", "line"), [(1, "error: why"), (2, "error: why"), (130, "why"), (143, "why")])
def test_a_stop_by_a_signal_is_not_called_an_error(code, line, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["Script.py"])
    with pytest.raises(SystemExit) as stop:
        fail("why", code)
    assert stop.value.code == code and capsys.readouterr().err == f"Script.py: {line}\n"


def test_a_number_has_its_noun_in_singular_or_plural():
    assert [counted(n, "row") for n in (0, 1, 2, 1200)] == ["0 rows", "1 row", "2 rows", "1,200 rows"]
    assert [counted(n, "mismatch", "mismatches") for n in (1, 3)] == ["1 mismatch", "3 mismatches"]


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--xyz"], "--xyz is not a flag; see python Script.py scenes --help"),
        (["--epochs", "3"], "--epochs is not a flag; did you mean --optim.epochs?"),
        (["--name", "a", "frozen"], "the preset comes first: python Script.py frozen --FLAG VALUE"),
        (["frozen", "a"], "a belongs to no flag; see python Script.py scenes --help"),
        (
            ["scene"],
            "there is no preset 'scene'; did you mean scenes? choose from: scenes, scenes-small, frozen, finetune",
        ),
        (["--optim.epochs", "2.5"], "--optim.epochs '2.5': not a whole number"),
        (["--model.score", "best"], "--model.score 'best': choose from 'patch_word', 'pooled', 'both'"),
    ],
)
def test_a_wrong_setting_of_a_preset_gets_one_line_with_a_suggestion(args, line, capsys, monkeypatch):
    assert error_of(PRESETS, args, capsys, monkeypatch) == line


@pytest.mark.parametrize(
    "args",
    [
        ["a.jpg", "--", "-a --ball"],
        ["--suggest", "a.jpg", "--", "-a --ball"],
        ["a.jpg", "--suggest", "--", "-a --ball"],
        ["--suggest", "--", "a.jpg", "-a --ball"],
        ["a.jpg", "--model", "m", "--suggest", "--", "-a --ball"],
    ],
)
def test_a_text_after_two_dashes_may_begin_with_a_dash(args):
    read = read_command_line(Settings, "", args)
    assert (read.image, read.text, read.model) == ("a.jpg", "-a --ball", "m")
    assert read.suggest is ("--suggest" in args)


class Terminal(io.StringIO):
    """A stdout that takes colours and lines."""

    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.mark.parametrize("stdout", [io.StringIO, Terminal])
@pytest.mark.parametrize("args", [["--help"], ["frozen", "--help"]])
def test_help_names_the_default_preset_and_fits_80_columns(stdout, args, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", stdout())
    with pytest.raises(SystemExit) as stop:
        read_command_line(PRESETS, "Train the judge, " + "which takes long. " * 20, args)
    shown = sys.stdout.getvalue()
    assert not stop.value.code
    assert ("\x1b[" in shown) is (stdout is Terminal)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(map(len, lines)) <= 80
    if stdout is Terminal:  # every line of a box is whole
        assert all(line.endswith("\u2502") and len(line) == 80 for line in lines if line.startswith("\u2502"))
        assert sum(line.startswith("\u2502") for line in lines) > 8
    assert any("(default: scenes)" in line for line in lines) is (args == ["--help"])
    assert not any("required" in line for line in lines)


def test_first_preset_is_the_default_and_flags_change_it():
    assert read_command_line(PRESETS, "", []) == PRESETS["scenes"][1]
    config = read_command_line(PRESETS, "", ["frozen", "--optim.lr", "0.5", "--backbone.stride-in-1x1"])
    assert config == dataclasses.replace(
        PRESETS["frozen"][1],
        optim=dataclasses.replace(PRESETS["frozen"][1].optim, lr=0.5),
        backbone=dataclasses.replace(PRESETS["frozen"][1].backbone, stride_in_1x1=True),
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--no-such-flag", "3"], "--no-such-flag"),
        (["--optim.lr", "fast"], "'fast'"),
        (["--model.score", "best"], "'best'"),
        (["photos"], "there is no preset 'photos'; choose from: scenes, scenes-small, frozen, finetune"),
        (["--optim.epochs", "0"], "--optim.epochs 0: must be at least 1"),
        (["--resume", "--overwrite"], "exclude each other"),
        (["--name", "../up"], "use letters, digits"),
        (["--name", ".."], "use letters, digits"),
        (["frozen", "--augment.crop", "0.5"], "cannot be augmented"),
        (["frozen", "--backbone.views", "17"], "--backbone.views 17: must be 1 to 16"),
        (["frozen", "--backbone.view-crop", "0"], "--backbone.view-crop 0.0: must be 0.05 to 1"),
        (["--optim.accumulation", "1000"], "--optim.accumulation 1000: must be at most --data.batch-pictures"),
        (["--optim.backbone-lr", "0"], "--optim.backbone-lr 0.0: must be above 0"),
        (["--optim.ema", "1"], "--optim.ema 1.0: must be at least 0 and below 1"),
        (["--model.whole-width", "200"], "must be a multiple of --model.width 96"),
        (["--model.lstm-width", "33"], "--model.lstm-width 33: must be even"),
        (["frozen", "--backbone.grid", "-1"], "--backbone.grid -1: must be 0 to 64"),
        (["--negatives.swap", "-0.1"], "--negatives: weights must not be negative, nor all 0"),
        (["--negatives.exchange", "-1"], "--negatives: weights must not be negative, nor all 0"),
        (["--negatives.mined", "-1"], "--negatives: weights must not be negative, nor all 0"),
        (
            [
                flag
                for kind in ("swap", "exchange", "mined", "geometric", "add")
                for flag in (f"--negatives.{kind}", "0")
            ],
            "--negatives: weights must not be negative, nor all 0",
        ),
        (["--negatives.in-batch", "-1"], "--negatives.in-batch -1.0: must not be negative"),
        (["--negatives.per-caption", "0"], "--negatives.per-caption 0: must be at least 1"),
        (["--negatives.most-swaps", "0"], "--negatives.most-swaps 0: must be 1 to 3"),
        (["--negatives.most-swaps", "4"], "--negatives.most-swaps 4: must be 1 to 3"),
    ],
)
def test_a_wrong_command_line_gets_one_line_and_status_2(args, message, capsys):
    with pytest.raises(SystemExit) as stop:
        read_command_line(PRESETS, "", args)
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in error
    assert error.count("\n") == 1


def test_one_kind_of_hard_negatives_is_enough():
    flags = [
        "--negatives.swap",
        "0",
        "--negatives.exchange",
        "2",
        "--negatives.mined",
        "0",
        "--negatives.in-batch",
        "0",
    ]
    config = read_command_line(PRESETS, "", flags)
    assert config.negatives == Config.NegativesConfig(
        swap=0, exchange=2, mined=0, in_batch=0, geometry=4, geometric=0.2
    )


@pytest.mark.parametrize(
    "script", ["Database_create.py", "Main_train.py", "Evaluate_test.py", "Analyze_logs.py", "Predict.py"]
)
def test_every_script_has_help_and_refuses_unknown_flags(script):
    assert "usage" in run_process(script, "--help").stdout
    refused = run_script(script, "--no-such-flag", status=2)
    assert refused.stderr.startswith(f"{script}: error: ")
    assert refused.stderr.count("\n") == 1


def test_the_middle_of_a_long_error_is_left_out(capsys):
    with pytest.raises(SystemExit):
        fail(f"model.bin is damaged: {'x' * 5000}; copy it again")
    line = capsys.readouterr().err
    assert "error: model.bin is damaged: xxx" in line and line.endswith("xxx; copy it again\n")
    assert " … " in line and line.count("\n") == 1 and len(line) < 1000


def test_an_error_does_not_stand_behind_an_open_progress_bar(capsys):
    bars = [tqdm(total=5, leave=leave) for leave in (True, False)]
    with pytest.raises(SystemExit):
        fail("broken")
    assert all(bar.disable for bar in bars)  # so they print nothing any more
    *_, last = re.split("[\\r\\n]", capsys.readouterr().err.strip("\n"))
    assert last.endswith(": error: broken") and "%|" not in last


def test_an_error_does_not_stand_behind_a_bar_whose_opening_was_interrupted(capsys):
    bar = tqdm(total=5)
    del bar.last_print_t
    with pytest.raises(SystemExit):
        fail("broken")
    *_, last = re.split("[\\r\\n]", capsys.readouterr().err.strip("\n"))
    assert last.endswith(": error: broken") and "%|" not in last


def test_an_error_is_one_line(capsys):
    with pytest.raises(SystemExit):
        fail("there is no file a\nb.jpg\r\n  at all")
    assert capsys.readouterr().err.splitlines()[0].endswith("error: there is no file a b.jpg   at all")
