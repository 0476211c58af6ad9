"""Write the reference part of docs/API.md from the docstrings of the public classes and functions.

    python Miscellaneous_scripts/Document_api.py

Each object becomes a stub: its signature, fields and docstring, and its public methods. What stands above the mark in
the file is written by hand and stays. A test fails if the file is out of date.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.command_line import fail, read_command_line
from common.storage import write_atomically

ROOT = Path(__file__).resolve().parent.parent
MARK = "<!-- Below this line: written by Miscellaneous_scripts/Document_api.py -->"
Documented = ast.ClassDef | ast.FunctionDef


class Objects(NamedTuple):
    """Public objects of one file."""

    module: str  # users import them from it
    file: str
    names: tuple[str, ...]


JUDGE, ERRORS = ("Judge", "Verdict", "WordScore"), ("InputError", "PictureError", "TextError")
DATA = ("Database", "Caption", "Batch", "PairDataset", "make_loader")
LOSSES = (
    "contrastive_loss",
    "triplet_loss",
    "match_loss",
    "word_loss",
    "total_loss",
    "TextBatch",
    "backward_in_chunks",
)
SECTIONS = {
    "Judging pictures and texts": [
        Objects("Predict", "judging/judge.py", JUDGE),
        Objects("Predict", "judging/inputs.py", ERRORS),
        Objects("Predict", "judging/suggest.py", ("suggest",)),
        Objects("judging.suggest", "judging/suggest.py", ("Suggestion",)),
    ],
    "Trained models": [
        Objects("training.checkpoints", "training/checkpoints.py", ("load_model", "LoadedModel", "Threshold"))
    ],
    "Words": [Objects("Tokenizer_lib", "Tokenizer_lib.py", ("split_words", "Word", "Tokenizer"))],
    "Databases and batches": [Objects("DataBase_functions", "DataBase_functions.py", DATA)],
    "Hard negatives": [Objects("Negative_map", "Negative_map.py", ("Plan",))],
    "Losses": [Objects("Functions", "Functions.py", LOSSES)],
    "The network": [Objects("Architectures", "Architectures.py", ("Backbone", "SiameseModel"))],
}


@dataclass(frozen=True)
class DocumentConfig:
    """Where to write."""

    out: str = str(ROOT / "docs" / "API.md")
    """Markdown file; everything below its mark is replaced."""


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(DocumentConfig, __doc__ or "", args)
    path = Path(settings.out)
    try:
        page = new_page(path.read_text(encoding="utf-8"))
        write_atomically(path, lambda part: part.write_text(page, encoding="utf-8"))
    except (OSError, ValueError) as error:
        fail(str(error))
    print(f"written: {path}")


def new_page(page: str) -> str:
    """The page with a fresh reference part. ValueError if it has no mark, or an object is absent from its file."""
    above, mark, _ = page.partition(MARK)
    if not mark:
        raise ValueError(f"the page has no line {MARK}")
    return above + mark + "\n" + "".join(reference())


def reference() -> Iterator[str]:
    """The Markdown of all sections."""
    for heading, groups in SECTIONS.items():
        imports = "\n".join(f"from {group.module} import {', '.join(group.names)}" for group in groups)
        yield f"\n## {heading}\n\n```python\n{imports}\n```\n"
        for group in groups:
            source = (ROOT / group.file).read_text(encoding="utf-8")
            found = {node.name: node for node in ast.parse(source).body if isinstance(node, Documented)}
            for name in group.names:
                if name not in found:
                    raise ValueError(f"{group.file} has no class or function {name}")
                stub = "\n".join(stub_of(found[name], source.splitlines()))
                yield f"\n### `{name}`\n\n```python\n{stub}\n```\n"


def stub_of(node: Documented, lines: Sequence[str]) -> list[str]:
    """The lines of a class or function without its code: head, docstring, fields, public methods."""
    first, *rest = node.body
    decorators = [lines[each.lineno - 1] for each in node.decorator_list]
    stub = [*decorators, *lines[node.lineno - 1 : max(node.lineno, first.lineno - 1)]]
    if is_string(first):
        stub += lines_of(first, lines)
    else:
        rest = node.body
    if isinstance(node, ast.FunctionDef):
        return stub if is_string(first) else [*stub[:-1], stub[-1] + " ..."]
    fields: list[str] = []
    methods: list[str] = []
    after_field = False
    for each in rest:
        if isinstance(each, ast.FunctionDef) and is_public(each):
            methods += ["", *stub_of(each, lines)]
        is_field = isinstance(each, ast.AnnAssign) and not ast.unparse(each.target).startswith("_")
        if is_field or (after_field and is_string(each)):
            fields += lines_of(each, lines)
        after_field = is_field
    return [*stub, *([""] if fields and is_string(first) else []), *fields, *methods]


def lines_of(node: ast.stmt, lines: Sequence[str]) -> list[str]:
    """The source lines of a statement, with the comment behind it."""
    return list(lines[node.lineno - 1 : node.end_lineno])


def is_string(node: ast.stmt) -> bool:
    """A docstring, of a class, a function or the field above it."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def is_public(node: ast.FunctionDef) -> bool:
    """Methods without an underscore in front, and an `__init__` that has a docstring."""
    return not node.name.startswith("_") or (node.name == "__init__" and ast.get_docstring(node) is not None)


if __name__ == "__main__":
    main()
