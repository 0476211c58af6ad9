"""Models compared on the same texts: paired bootstrap differences, printed, drawn, and written as JSON."""

from collections.abc import Sequence
from pathlib import Path

from common import storage
from common.metrics import Interval, interval
from evaluation import plots
from evaluation.benchmarks.figures import BLIND_AUC
from evaluation.printing import SECTIONS, with_interval
from evaluation.report import Evaluation, plain
from evaluation.retrieval import RANKINGS
from evaluation.screen import Column, Line, print_table, print_text
from evaluation.style import FigureFormat

NOT_COMPARED = {"recall", "specificity", "roc_auc", "average_precision", BLIND_AUC}  # of benchmarks
Differences = dict[str, dict[str, Interval]]  # by section and row


def compare(evaluations: Sequence[Evaluation], figures: FigureFormat = "png") -> None:
    """Print, draw and write the differences of each further model from the first; figures: the format of the plots."""
    first, *others = evaluations
    for other in others:
        if other.database.fingerprint != first.database.fingerprint:
            print_text(
                f"not compared: {other.folder} and {first.folder} have different databases; name one for both with "
                "--database DIR"
            )
            continue
        found = differences(first, other)
        names = names_of(other.folder, first.folder)
        title = " minus ".join(names)
        print_differences(title, found)
        stem = f"Comparison_{'_minus_'.join(names)}{first.suffix}".replace("/", "-")
        plot, table = (first.loaded.config.plots_folder / f"{stem}.{ending}" for ending in (figures, "json"))
        plots.plot_differences(plot, title, found)
        storage.write_json(table, plain(found))
        print(f"written: {table}\nwritten: {plot}")


def names_of(*folders: Path) -> list[str]:
    """The names of the models' folders, with the folders above them if the names are equal."""
    names = [folder.name for folder in folders]
    if len(set(names)) == len(names):
        return names
    return ["/".join(folder.resolve().parts[-2:]) for folder in folders]


def differences(first: Evaluation, other: Evaluation) -> Differences:
    """Other minus first, by section and row.

    Both models are resampled with the same photographs, so the differences are paired.
    """
    sections: Differences = {}
    for mine, theirs in zip(first.rows, other.rows, strict=True):
        assert (mine.section, mine.name, mine.n) == (theirs.section, theirs.name, theirs.n)
        difference = interval(theirs.samples["balanced_accuracy"] - mine.samples["balanced_accuracy"])
        sections.setdefault(SECTIONS.get(mine.section, mine.section), {})[f"{mine.name} ({mine.n:,})"] = difference
    for spec, benchmark in first.benchmarks.items():
        for mine, theirs in zip(benchmark.rows, other.benchmarks[spec].rows, strict=True):
            for figure in (name for name in mine.samples if name not in NOT_COMPARED):
                section = f"{mine.section}: {figure.replace('_', ' ')}"
                sections.setdefault(section, {})[mine.name] = interval(theirs.samples[figure] - mine.samples[figure])
    for ranking in (name for name in first.retrieval.samples if name in other.retrieval.samples):
        for name in ("picture_to_text", "text_to_picture"):
            figure = f"{name}_recall@1"
            difference = interval(other.retrieval.samples[ranking][figure] - first.retrieval.samples[ranking][figure])
            sections.setdefault("recall@1" + RANKINGS[ranking], {})[name.replace("_", " ")] = difference
    return sections


def print_differences(title: str, sections: Differences) -> None:
    print_text()
    print_text(title, "bold")
    tables = {
        section: [
            Line(name, [with_interval(difference, sign="+"), verdict(difference)]) for name, difference in found.items()
        ]
        for section, found in sections.items()
    }
    print_table([Column("difference"), Column("")], tables)
    print_text(
        "Differences in percentage points, with the 95 % interval of the paired differences: of balanced accuracy, if "
        'no other figure is named. "better" and "worse": the interval does not contain 0.'
    )


def verdict(difference: Interval) -> str:
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else ""
