"""The layers of docs/ARCHITECTURE.md: each part imports only from those before it, and scripts import no scripts."""

import ast
from pathlib import Path

from conftest import ROOT

LAYERS = [
    *("Config", "Tokenizer_lib", "common", "negatives", "sources", "Negative_map", "Architectures", "Functions"),
    *("DataBase_functions", "training", "evaluation", "judging"),
]
SCRIPTS = ["Main_train", "Database_create", "Evaluate_test", "Analyze_logs", "Predict", "Miscellaneous_scripts"]


def imports_of(path: Path) -> set[str]:
    """The first names of all that a file imports, also inside its functions."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return {name.split(".")[0] for name in plain + [n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)]}


def test_each_part_imports_only_from_those_before_it():
    for path in ROOT.glob("**/*.py"):
        part = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if part in LAYERS:
            above = {*LAYERS[LAYERS.index(part) + 1 :], *SCRIPTS}
            assert not imports_of(path) & above, f"{path} imports from above"


def test_scripts_import_no_scripts_and_there_are_eleven_files_at_the_top():
    for script in SCRIPTS[:-1]:
        assert not imports_of(ROOT / f"{script}.py") & set(SCRIPTS)
    top = {path.stem for path in ROOT.glob("*.py")}
    assert top == {name for name in (*LAYERS, *SCRIPTS) if (ROOT / f"{name}.py").is_file()} and len(top) == 11
