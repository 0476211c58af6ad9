"""SNLI-VE: texts that people wrote about a caption of a photograph: entailed, neutral or contradicted.

Sources: Bowman et al. 2015 (SNLI), Xie et al. 2019 (SNLI-VE).
"""

from evaluation.benchmarks.figures import Claim, class_figures, class_labels
from evaluation.benchmarks.reading import Benchmark, Contents
from sources.files import read_lines
from sources.items import LeftOut
from sources.snli_ve import UNDECIDED, labelled_text

CLASSES = ("entailed", "neutral", "contradicted")


def _read(contents: Contents) -> None:
    """Read the file. A text whose annotators did not agree is left out; all of them are one entry of `left_out`."""
    labels, undecided = class_labels(CLASSES), 0
    for number, line in read_lines(contents.file()):
        with contents.record(f"{contents.path.name}:{number}", 1):
            found = labelled_text(line)
            if found.kind is None:
                undecided += 1
            else:
                label = labels[found.kind]
                contents.add(Claim(f"{found.number}.jpg", found.text, label, "", next(contents.units)))
    if undecided:
        reason = f'{undecided} texts whose annotators did not agree (gold_label "{UNDECIDED}")'
        contents.left_out.append(LeftOut("collection", f"{contents.path.name}:{UNDECIDED}", reason, captions=undecided))


SNLI_VE = Benchmark(
    "snli-ve",
    "a JSONL file with Flickr30K_ID, gold_label and sentence2",
    _read,
    class_figures,
    classes=CLASSES,
)
