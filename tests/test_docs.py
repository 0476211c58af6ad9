"""The documents: links, pictures and anchors exist, commands parse, quoted messages are those of the code."""

import argparse
import ast
import functools
import importlib
import itertools
import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest
from conftest import ROOT

from Miscellaneous_scripts import Document_api

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "Models" / "photos" / "README.md"])
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
MOST_WORDS = 1800  # of the README
FROM_TORCH = "DataLoader worker"  # how a message begins that the program only passes on
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What the program writes, so it is not in the repository: all of three folders but these; and a member of a bundle.
WRITTEN = re.compile(r"(Database|Models|Plots)/(?!scenes-small|[^/]*\.(png|jpg))|run\.py$")


class Block(NamedTuple):
    """A fenced block of a document."""

    language: str
    text: str


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    return [Block(*found.groups()) for found in FENCE.finditer(text)]


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    return FENCE.sub("", text)


# Links


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        repeated = sum(re.fullmatch(rf"{re.escape(plain)}(-\d+)?", each) is not None for each in found)
        found.add(f"{plain}-{repeated}" if repeated else plain)
    return found


def broken_links(text: str, folder: Path) -> list[str]:
    """Relative links and pictures of a document in `folder` whose file or anchor does not exist."""
    broken = []
    without_code = re.sub(r"`[^`\n]*`", "", prose(text))
    for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", without_code):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = folder / path if path else None
        exists = file is None or file.exists()
        if exists and anchor:
            exists = anchor in anchors(text if file is None else file.read_text(encoding="utf-8"))
        if not exists:
            broken.append(target)
    return broken


@pytest.mark.parametrize("name", NAMES)
def test_links_pictures_and_anchors_exist(name: str):
    assert broken_links(read(name), (ROOT / name).parent) == []


@pytest.mark.parametrize(
    "text",
    [
        "[a](docs/ABSENT.md)",
        "![a](Plots/absent.png)",
        "[a](#absent)",
        "[a](docs/DATA.md#absent)",
        "# A, B\n[a](#a-b-1)",
        "[a `code`](ABSENT.md)",
    ],
)
def test_a_broken_link_is_found(text: str):
    assert len(broken_links(text, ROOT)) == 1


def test_a_link_that_exists_is_not_reported():
    assert broken_links("# A, `B`!\n# A, B\n[a](#a-b) [b](#a-b-1) [c](docs/DATA.md#sources) [d](LICENSE)", ROOT) == []


# Commands


class Parsed(Exception):
    """The command line was accepted; the script must not run."""


def commands(text: str) -> Iterator[str]:
    """The commands of the fenced blocks without a language: `python ...` and `torchrun ...`, also behind `&&`."""
    for block in blocks(text):
        if block.language == "":
            for line in block.text.splitlines():
                for command in line.removeprefix("$ ").split("&&"):
                    if re.match(r"\s*(python|torchrun) ", command):
                        yield command.strip()


def parse(command: str) -> None:
    """Give a command to the parser of its script, in this process. SystemExit or AssertionError if it is refused."""
    words = [word for word in shlex.split(command, comments=True) if word != "--help"]
    if words[1:4] == ["-m", "pip", "install"]:
        files = [word for flag, word in itertools.pairwise(words) if flag == "-r"]
        assert files or "onnxruntime" in words, f"{command}: no requirements file"
        assert all((ROOT / file).is_file() for file in files), f"{command}: no such file"
        return
    if words[1:3] == ["-m", "pytest"]:
        return
    place = next((i for i, word in enumerate(words) if word.endswith(".py")), None)
    assert place is not None and (ROOT / words[place]).is_file(), f"{command}: no such script"
    module = importlib.import_module(words[place].removesuffix(".py").replace("/", "."))
    with mock.patch.object(sys, "argv", words[place:]), stop_after_parsing(module), pytest.raises(Parsed):
        module.main()


def stop_after_parsing(module: object) -> "mock._patch":
    """Let the parser of a script raise `Parsed` when it has accepted its arguments."""

    def and_stop(parser: Callable) -> Callable:
        def parse(*args: object, **named: object) -> None:
            parser(*args, **named)
            raise Parsed

        return parse

    if hasattr(module, "read_command_line"):
        return mock.patch.object(module, "read_command_line", and_stop(module.read_command_line))
    return mock.patch.object(argparse.ArgumentParser, "parse_args", and_stop(argparse.ArgumentParser.parse_args))


@pytest.mark.parametrize("name", NAMES)
def test_every_command_parses(name: str):
    for command in dict.fromkeys(commands(read(name))):
        try:
            parse(command)
        except SystemExit as stop:
            pytest.fail(f"{name}: {command}: exit status {stop.code}")


def test_the_documents_have_commands_of_every_script():
    all_commands = "\n".join(command for name in NAMES for command in commands(read(name)))
    for script in ("Main_train", "Evaluate_test", "Analyze_logs", "Predict", "Database_create", "Export_model"):
        assert f"{script}.py" in all_commands


@pytest.mark.parametrize(
    "command",
    [
        "python Main_train.py --optim.epoch 3",
        "python Main_train.py scnes",
        "torchrun --nproc-per-node 8 Main_train.py finetune --compil",
        "python Main_train.py --optim.epochs 0",
        "python Predict.py PICTURE",
        "python Miscellaneous_scripts/Dump_negatives.py --kind swaps --out negatives.jsonl",
        "python Evaluate_test.py --threshold-for recall",
    ],
)
def test_a_wrong_flag_or_value_is_found(command: str, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit):
        parse(command)


@pytest.mark.parametrize("command", ["python Absent.py", "python -m pip install -r absent.txt", "python -c 1"])
def test_a_wrong_file_is_found(command: str):
    with pytest.raises(AssertionError):
        parse(command)


def test_comments_and_several_commands_of_a_line_are_read():
    shell = "```\npython A.py --x 1 && python B.py   # a comment\n$ torchrun C.py\nother\n```\n"
    text = shell + "```python\npython D.py\n```\n"
    assert list(commands(text)) == ["python A.py --x 1", "python B.py   # a comment", "torchrun C.py"]


@pytest.mark.parametrize("name", ["README.md", "docs/API.md"])
def test_the_examples_in_python_run(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    by_hand = read(name).partition(Document_api.MARK)[0]
    examples = "\n".join(block.text for block in blocks(by_hand) if block.language == "python")
    exec(compile(examples, name, "exec"), {})


# Paths


def absent_paths(text: str) -> list[str]:
    """Paths in code spans, and in the first column of file trees, that are not in the repository.

    A span is a path if it begins with a folder of the repository, or ends like a file of it. Capitals are placeholders.
    """
    spans = re.findall(r"`([^`\n]+)`", prose(text))
    trees = [line.split("  ")[0] for block in blocks(text) for line in block.text.splitlines() if is_of_a_tree(line)]
    absent = []
    for path in [*spans, *(name for tree in trees for name in tree.split())]:
        folder, slash, _ = path.partition("/")
        is_path = re.fullmatch(r"[\w./-]+", path) and (
            (slash and (ROOT / folder).is_dir()) or re.search(r"\.(py|toml|md)$", path)
        )
        placeholder = re.search(r"\b(NAME|DIR|FILE|SCRIPT)\b", path)
        if is_path and not placeholder and not WRITTEN.match(path) and not is_there(path.rstrip("/")):
            absent.append(path)
    return absent


def is_there(path: str) -> bool:
    """At the top, or for a short form such as `slots.py` in a folder."""
    return (ROOT / path).exists() or any(next(ROOT.glob(f"{up}/{path}"), None) for up in ("*", "*/*"))


def is_of_a_tree(line: str) -> bool:
    return re.match(r"[\w./-]+(\.py|\.md|/)( [\w./-]+/)*   ?", line) is not None


@pytest.mark.parametrize("name", [name for name in NAMES if name != "CHANGELOG.md"])  # it has a history
def test_paths_are_in_the_repository(name: str):
    assert absent_paths(read(name)) == []


@pytest.mark.parametrize(
    "text",
    ["`Absent_lib.py`", "`negatives/absent.py`", "`common/absent/`", "```\nAbsent.py    script\ncommon/   x\n```\n"],
)
def test_an_absent_path_is_found(text: str):
    assert len(absent_paths(text)) == 1


# Messages


def templates(path: Path) -> Iterator[tuple[str, int]]:
    """The texts of a file as patterns, in which a value is `.*`, with the number of their fixed characters."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            fixed = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            fixed = [node.value]
        else:
            continue
        pattern = "".join(".*" if part is None else re.escape(part) for part in fixed)
        yield pattern, sum(len(part) for part in fixed if part)


def messages(text: str) -> list[str]:
    """Error messages that a document quotes: lines `SCRIPT.py: error: MESSAGE`."""
    return re.findall(r"^\w+\.py: error: (.*)$", text, re.MULTILINE)


@functools.cache
def message_patterns() -> list[re.Pattern[str]]:
    """Every text of the program with at least 15 fixed characters; what to do next can follow behind a semicolon."""
    folders = ("common", "negatives", "sources", "training", "evaluation", "judging", "Miscellaneous_scripts")
    files = [*ROOT.glob("*.py"), *(file for folder in folders for file in (ROOT / folder).rglob("*.py"))]
    patterns = {pattern for file in files for pattern, fixed in templates(file) if fixed >= 15}
    return [re.compile(f"{pattern}(; .*)?", re.DOTALL) for pattern in sorted(patterns)]


def unknown_messages(quoted: Sequence[str]) -> list[str]:
    """Messages that no text of the program gives."""
    own = [message for message in quoted if not message.startswith(FROM_TORCH)]
    return [message for message in own if not any(pattern.fullmatch(message) for pattern in message_patterns())]


def test_quoted_messages_are_those_of_the_program():
    quoted = messages("\n".join(read(name) for name in NAMES))
    assert len(quoted) > 15
    assert unknown_messages(quoted) == []


def test_a_message_that_the_program_does_not_have_is_found():
    assert unknown_messages(["there is no preset 'x'; choose from: y", "there is no present 'x'; choose from: y"]) == [
        "there is no present 'x'; choose from: y"
    ]


# Figures

PUBLISHED = {  # where the balanced accuracies of each shipped model stand, and which kinds
    "photos": ("README.md", "docs/RESULTS.md", "Models/photos/README.md"),
    "scenes-small": ("README.md", "docs/RESULTS.md"),
}


@pytest.mark.parametrize("model", PUBLISHED)
def test_published_figures_are_those_of_the_evaluation(model: str):
    """The mixture and its kinds, with their intervals, as `results.json` has them."""
    results = json.loads(read(f"Models/{model}/results.json"))
    kinds = {row["name"]: row["balanced_accuracy"] for row in results["test"] if row["section"] == "kind"}
    for name, kind in itertools.product(PUBLISHED[model], ("mixture", "swap", "exchange", "mined", "in-batch")):
        value, low, high = (f"{100 * kinds[kind][key]:.1f}" for key in ("value", "low", "high"))
        stars = r"(\*\*)?"
        assert re.search(rf"{value}( %)?{stars} \[{low}, {high}\]", read(name)), f"{kind} in {name}"


# Form


def test_the_readme_is_short():
    assert len(read("README.md").split()) <= MOST_WORDS


def test_the_readme_links_every_document():
    assert [name for name in NAMES if name.startswith("docs/") and f"]({name}" not in read("README.md")] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("docs/")])
def test_a_document_begins_with_what_it_answers(name: str):
    title, blank, answers = read(name).splitlines()[:3]
    assert title.startswith("# ") and blank == "" and 20 < len(answers) <= 120


def test_the_reference_is_up_to_date():
    page = read("docs/API.md")
    assert Document_api.new_page(page) == page, "run: python Miscellaneous_scripts/Document_api.py"


def test_the_reference_names_objects_where_users_import_them():
    for groups in Document_api.SECTIONS.values():
        for group in groups:
            module = importlib.import_module(group.module)
            assert [name for name in group.names if not hasattr(module, name)] == []


def test_a_reference_without_its_mark_is_refused():
    with pytest.raises(ValueError, match="has no line"):
        Document_api.new_page("# Python interface\n")


def test_the_citation_has_the_newest_version():
    citation = dict(re.findall(r"^([\w-]+): (\S.*)$", read("CITATION.cff"), re.MULTILINE))
    newest = re.search(r"^## (\d\S+)$", read("CHANGELOG.md"), re.MULTILINE)
    assert newest is not None and citation["version"] == newest.group(1)
    assert citation["cff-version"] == "1.2.0" and citation["license"] == "Apache-2.0"
