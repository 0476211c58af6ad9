"""Models compared on the same texts: paired bootstrap differences, printed, drawn, and written as JSON."""

from collections.abc import Sequence

from common import storage
from common.metrics import Interval, interval
from evaluation import plots
from evaluation.printing import SECTIONS
from evaluation.report import Evaluation, plain
from evaluation.retrieval import RANKINGS

NOT_COMPARED = {"recall", "specificity", "roc_auc", "average_precision"}  # of benchmarks
Differences = dict[str, dict[str, Interval]]  # by section and row


def compare(evaluations: Sequence[Evaluation]) -> None:
    """Each further model minus the first."""
    first, *others = evaluations
    for other in others:
        if other.database.fingerprint != first.database.fingerprint:
            print(f"{other.folder} and {first.folder} have different databases: compare them with --database DIR")
            continue
        found = differences(first, other)
        title = f"{other.folder.name} minus {first.folder.name}"
        print_differences(title, found)
        name = f"Comparison_{other.folder.name}_minus_{first.folder.name}{first.suffix}"
        plot, table = (first.loaded.config.plots_folder / f"{name}.{ending}" for ending in ("png", "json"))
        plots.plot_differences(plot, title, found)
        storage.write_json(table, plain(found))
        print(f"written: {table}, {plot}")


def differences(first: Evaluation, other: Evaluation) -> Differences:
    """Other minus first. Both are resampled with the same photographs, so the differences are paired."""
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
    for ranking, samples in first.retrieval.items():
        for name in ("picture_to_text", "text_to_picture"):
            figure = f"{name}_recall@1"
            difference = interval(other.retrieval[ranking][figure] - samples[figure])
            sections.setdefault("recall@1" + RANKINGS[ranking], {})[name.replace("_", " ")] = difference
    return sections


def print_differences(title: str, sections: Differences) -> None:
    print(f"\n{title}: balanced accuracy and recall; * where the 95 % interval does not hold 0")
    for section, found in sections.items():
        print(f"\n{section:44s}{'difference':>10s}  95 % interval")
        for name, (value, low, high) in found.items():
            print(f"{name:44s}   {value:+.4f}  [{low:+.4f}, {high:+.4f}]{'' if low <= 0 <= high else ' *'}")
