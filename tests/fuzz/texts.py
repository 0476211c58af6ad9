"""Texts: all scripts, halves of characters, control characters, markup, long words, numbers, tokenised text."""

import json
from pathlib import Path

from .mutations import CAPTIONS, odd_text
from .pictures import picture, share_the_judge, shipped, the_judge
from .running import Case, Fault, Kind

PICTURE = "picture.png"


def prepare(folder: Path) -> None:
    """Load the judge and the parser once."""
    from random import Random

    from sources.parser import find_pipeline, load_parser

    the_judge()
    load_parser(find_pipeline()).parse([CAPTIONS[0]])
    picture(Random(0), "RGB", (64, 64)).save(folder / PICTURE)


def run(case: Case) -> None:
    share_the_judge()
    text = odd_text(case.rng)
    if case.rng.random() < 0.02:
        text = case.rng.choice((text, "a", "dog and ")) * case.rng.choice((10_000, 100_000))
        text = text[:300_000]
    case.about = ascii(text[:200]) + (f" ... {len(text)} characters" if len(text) > 200 else "")
    how = case.rng.random()
    if how < 0.6:
        judge(case, text)
    elif how < 0.75:
        show(case, text)
    elif how < 0.85:
        score_table(case, text)
    else:
        plan(case, text)


def judge(case: Case, text: str) -> None:
    """Predict.py, on the text as a word of its command line."""
    more = case.rng.choice(((), (), (), ("--json",), ("--suggest",)))
    args = (*more, "--model", shipped(), "--device", "cpu", "--", case.base / PICTURE, text)
    case.call("Predict.py", *args, statuses=(0, 1, 3))


def show(case: Case, text: str) -> None:
    """The web page and the heat map."""
    from PIL import Image

    from judging.inputs import InputError
    from judging.suggest import suggest
    from judging.web_html import Visit, corrections_html, first_shown, heat_html, verdict_html, words_html

    judge, image = the_judge(), Image.open(case.base / PICTURE)
    with case.printed() as texts:
        try:
            verdict = judge.check(image, text[:2000])
        except InputError as error:
            return case.refuse(error)
        visit = Visit(image, image, verdict, first_shown(verdict))
        page = verdict_html(verdict, 0.5, -1) + words_html(visit, 0.5) + heat_html(visit)
        page += corrections_html(suggest(judge, image, verdict.text))
        page.encode()
        json.dumps(verdict.as_dict())
        if case.rng.random() < 0.2:
            from judging.heat import plot_heat

            plot_heat(case.folder / "heat.png", image, verdict)
    if "<script" in page or texts[1].strip():
        raise Fault(f"the page has a script, or prints {texts[1].strip()[:80]!r}")


def score_table(case: Case, text: str) -> None:
    """Predict.py --pairs, on a table of two rows."""
    table, out = (
        case.folder / "pairs.jsonl",
        case.folder / f"out{case.rng.choice(('.csv', '.jsonl', '.parquet', '.tsv'))}",
    )
    rows = [{"image": str(case.base / PICTURE), "caption": one, "other": one[:50]} for one in (text, CAPTIONS[0])]
    table.write_bytes(
        "".join(json.dumps(row, ensure_ascii=case.rng.random() < 0.5) + "\n" for row in rows).encode(
            errors="surrogatepass"
        )
    )
    flags = ("--images", case.base, "--out", out, "--report", case.folder / "worst.html")
    case.call("Predict.py", "--pairs", table, *flags, "--model", shipped(), "--device", "cpu")


def plan(case: Case, text: str) -> None:
    """What a build does with the text: parse it, and find its parts and its hard negatives among two captions."""
    from Negative_map import KINDS
    from negatives.kind import Captions, StringTable
    from negatives.parsed_caption import read_captions
    from negatives.parts import find_parts
    from sources.intake import Intake
    from sources.items import Picture, Text
    from sources.parser import find_pipeline, load_parser
    from Tokenizer_lib import split_words

    text = text.encode(errors="replace").decode()  # readers leave out a text that UTF-8 cannot encode
    intake = Intake(case.folder / "intake.sqlite")
    intake.add_source("pairs")
    with case.printed() as texts:
        for number, one in enumerate((text, *CAPTIONS[:2])):
            intake.add("pairs", Picture(f"pairs:{number}", f"{number}.png", Path("x.png")))
            intake.add("pairs", Text(f"pairs:{number}", one.strip(), "caption", "pairs.csv:1"))
        intake.join()
        stored = [each.text for chunk in intake.chunks(100) for photograph in chunk for each in photograph.texts]
        intake.close()
        parses = load_parser(find_pipeline()).parse(stored)
        parsed = read_captions(parses)
        for caption, parse in zip(parsed, parses):
            assert all(0 <= start < end <= len(parse.text) for start, end in find_parts(parse)), "a part outside"
            assert all(word.text for word in split_words(caption.parse.text)), "an empty word"
        numbers = list(range(len(parsed)))
        captions = Captions(
            parsed, numbers, ["train"] * len(parsed), [True] * len(parsed), lambda: iter([()] * len(parsed))
        )
        for kind in KINDS.values():
            kind.make(captions, StringTable())
    if texts[1].strip():
        raise Fault(f"a build prints {texts[1].strip()[:80]!r}")
    case.refused = len(stored) < 3


TEXTS = Kind("texts", 3, prepare, run)
