"""What is printed fits the screen: at most 80 columns, or fewer on a narrow terminal, and plain text in a pipe."""

import pytest

from evaluation import screen
from evaluation.screen import WIDTH, Column, Line, align, print_table, print_text, shorten

COLUMNS = [Column("n"), Column("balanced accuracy"), *(Column(name, optional=True) for name in ("recall", "ROC-AUC"))]
LINES = {
    "false texts": [Line("mixture", ["3,835", "94.2 [93.5, 94.7]", "97.6", "97.0"])],
    "swapped word": [
        Line(
            "a-name-that-is-longer-than-any-column-of-this-table-could-be", ["7*", "100.0 [90.0, 100.0]", "90.8", "–"]
        ),
    ],
}


def without_styles(text):
    from rich.text import Text

    return Text.from_ansi(text).plain


def test_a_pipe_gets_plain_aligned_text(capsys):
    print_text("Models/x on Database/y", "bold")
    print_table(COLUMNS, LINES)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "─" not in shown
    lines = shown.splitlines()
    assert lines[0] == "Models/x on Database/y"
    assert lines[1].split() == ["n", "balanced", "accuracy", "recall", "ROC-AUC"]
    assert lines[2] == "false texts" and lines[3].startswith("  mixture ")
    assert max(map(len, lines)) <= WIDTH and not any(line.endswith(" ") for line in lines)
    ends = {line.rindex(cell) + len(cell) for line, cell in ((lines[3], "94.7]"), (lines[-1], "100.0]"))}
    assert len(ends) == 1, "figures are aligned on the right"
    name = "".join(line.strip().split("  ")[0] for line in lines[5:])
    assert name == "a-name-that-is-longer-than-any-column-of-this-table-could-be", "a long name is folded, not cut"


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_without_colours_gets_plain_text(terminal, variable):
    stdout = terminal(80, **variable)
    print_table(COLUMNS, LINES)
    assert "\x1b" not in stdout.getvalue() and "─" not in stdout.getvalue()


def test_a_terminal_gets_a_rule_and_bold_heads(terminal):
    stdout = terminal(120)
    print_table(COLUMNS, LINES)
    assert "\x1b[1m" in stdout.getvalue() and "─" in stdout.getvalue()
    assert max(map(len, without_styles(stdout.getvalue()).splitlines())) <= WIDTH, "at 120 columns as at 80"


def test_a_narrow_terminal_loses_optional_columns_and_names_them(terminal):
    stdout = terminal(60)
    wider = {title: [Line(line.name, [*line.cells, "99.9"]) for line in lines] for title, lines in LINES.items()}
    print_table([*COLUMNS, Column("specificity", optional=True)], wider)
    lines = without_styles(stdout.getvalue()).splitlines()
    assert max(map(len, lines)) <= 60
    assert "94.2 [93.5, 94.7]" in stdout.getvalue() and "ROC-AUC" in lines[0]
    assert "99.9" not in stdout.getvalue() and lines[-1] == "Not shown on a terminal this narrow: specificity."


def test_marks_do_not_move_the_digits():
    assert align([["n"], ["3,835", "7*", "12"]]) == [["    n "], ["3,835 ", "    7*", "   12 "]]
    assert align([["n"], ["3,835", "7"]]) == [["    n"], ["3,835", "    7"]]


def test_no_line_of_a_paragraph_ends_inside_an_interval(capsys):
    for length in range(50, 90):
        print_text(f"{'x' * length} 94.3 [93.4, 95.0] % of all")
        lines = capsys.readouterr().out.splitlines()
        assert any("[93.4, 95.0] %" in line for line in lines)
        assert max(map(len, lines)) <= WIDTH


def test_a_long_path_is_cut_in_the_middle():
    assert shorten("Models/scenes", 20) == "Models/scenes"
    assert shorten("/home/somebody/projects/Models/scenes", 20) == "/home/…Models/scenes"


def test_the_width_of_a_pipe_does_not_depend_on_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert screen.width() == WIDTH
