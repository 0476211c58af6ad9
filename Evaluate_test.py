"""Choose the threshold on the validation split, measure a model on the test split, write results.json and plots.

python Evaluate_test.py [--model Models/NAME] [--benchmark NAME=PATH --images DIR]

If --model is given several times, each further model is compared with the first on the same texts.
"""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro

from common import devices, metrics
from common.command_line import fail, read_command_line
from common.jobs import progress
from common.metrics import Bootstrap, Criterion, interval
from common.world import save_world
from Config import DIR, require
from DataBase_functions import Database
from evaluation.benchmarks import BENCHMARKS, read_benchmark
from evaluation.benchmarks.pictures import find_pictures
from evaluation.blind import blind_scores
from evaluation.comparison import compare
from evaluation.external import evaluate_benchmark
from evaluation.leaks import check_leaks
from evaluation.pointing import point_at_words
from evaluation.report import Evaluation, refuse_to_overwrite, report
from evaluation.retrieval import Gallery, retrieve
from evaluation.rows import make_rows
from evaluation.splits import Scores, score_split
from evaluation.style import FigureFormat
from evaluation.texts import MOST, Texts, collect_texts
from evaluation.world import make_world
from judging import suggest
from judging.doubt import is_foreign
from judging.judge import Judge, names_shipped
from Tokenizer_lib import split_words
from training import checkpoints
from training.checkpoints import LoadedModel, Threshold
from training.folders import lock

FEWEST = 30  # swaps of a category, for an accuracy with a standard error below 0.07


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of one evaluation."""

    model: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="DIR")] = ()
    """Folder of a trained model (default: Models/scenes). Give it several times to compare models with the first."""
    threshold_for: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="CRITERION",
            help="What the threshold maximises on the validation split: balanced-accuracy (the default), recall=0.95 "
            "(at least this recall, then the most specificity), specificity=0.95, f1, or cost=5:1 (accepting a false "
            "text costs 5, refusing a true one costs 1). With --database the default is the stored threshold of the "
            "model.",
            help_behavior_hint="",
        ),
    ] = None
    benchmark: Annotated[
        tuple[str, ...],
        tyro.conf.UseAppendAction,
        tyro.conf.arg(
            metavar="NAME=PATH",
            help=f"An external benchmark as NAME=PATH. Names: {', '.join(BENCHMARKS)}. pairs is a table of your own: "
            "CSV, TSV, JSONL or Parquet with the columns image, caption and label. Can be given several times.",
        ),
    ] = ()
    images: Annotated[str | None, DIR] = None
    """Folder of the benchmarks' pictures (default: the folder of PATH)."""
    allow_leak: bool = False
    """Evaluate even on photographs that the model was trained on."""
    database: Annotated[str | None, DIR] = None
    """Folder of the database to evaluate on (default: the one that the model was trained on)."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps ..."""
    blind_captions: int = 30_000
    """Training captions that the blind judges, two classifiers that see only the text, learn from."""
    corrections: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Suggest corrections for N swaps (as Predict.py --suggest does) and count how often they restore the caption."""
    rerank: Annotated[int, tyro.conf.arg(metavar="K")] = 10
    """Retrieval: re-rank the K best texts of each picture and pictures of each text with the head; 0 leaves it out."""
    resamples: int = metrics.RESAMPLES
    """Bootstrap resamples of the photographs, for the 95 % intervals."""
    full: bool = False
    """Print every figure of results.json, in further tables."""
    figures: FigureFormat = "png"
    """Format of the plots; pdf and svg are vector graphics."""

    def __post_init__(self) -> None:
        require(self.corrections >= 0, f"--corrections {self.corrections}: must not be negative")
        require(self.rerank >= 0, f"--rerank {self.rerank}: must not be negative")
        require(self.resamples >= 10, f"--resamples {self.resamples}: must be at least 10")
        require(self.blind_captions >= 2, f"--blind-captions {self.blind_captions}: must be at least 2")
        Criterion.parse(self.threshold_for or "balanced-accuracy")

    @property
    def folders(self) -> list[Path]:
        """The folders of the models, without repetitions."""
        return list(dict.fromkeys(Path(model) for model in self.model or ("Models/scenes",)))


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(EvaluateConfig, __doc__ or "", args)
    locks = contextlib.ExitStack()
    try:
        benchmarks = {spec: read_benchmark(spec) for spec in settings.benchmark}
        device = devices.choose_device(settings.device)
        models = {folder: load(folder, device) for folder in settings.folders}
        # Refuse what is missing or must not be evaluated before minutes of work.
        databases = {folder: open_database(loaded, settings) for folder, loaded in models.items()}
        for folder, loaded in models.items():
            if is_own(loaded, databases[folder]):  # then its threshold is replaced
                locks.enter_context(lock(folder, "evaluate a copy of it"))
            refuse_to_overwrite(folder, databases[folder], is_own(loaded, databases[folder]))
        images = Path(settings.images) if settings.images else None
        places = {spec: find_pictures(contents, images) for spec, contents in benchmarks.items()}
        leaks = {
            folder: check_leaks(folder, loaded, databases[folder], places, settings.allow_leak)
            for folder, loaded in models.items()
        }
        texts: dict[str, dict[str, Texts]] = {}  # by fingerprint of the database; all models share them
        for database in databases.values():
            if database.fingerprint not in texts:
                texts[database.fingerprint] = collect_splits(database)
        for folder, loaded in models.items():
            check_splits(
                databases[folder], texts[databases[folder].fingerprint], chooses(loaded, databases[folder], settings)
            )
        evaluations = []
        for folder, loaded in models.items():
            database = databases[folder]
            one = evaluate(folder, loaded, database, texts[database.fingerprint], settings)
            one.leaks = leaks[folder]
            for spec, contents in benchmarks.items():
                one.benchmarks[spec] = evaluate_benchmark(
                    loaded, one.threshold, contents, places[spec], one.leaks[spec], settings.resamples
                )
            report(one, settings.full, settings.figures)
            one.scores.clear()  # frees the vectors of all pictures and captions; a comparison needs only the samples
            evaluations.append(one)
        if len(evaluations) > 1:
            compare(evaluations, settings.figures)
    except (ValueError, OSError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("stopped", code=130)
    finally:
        locks.close()


def load(folder: Path, device: torch.device) -> LoadedModel:
    """The model in a folder. FileNotFoundError names the shipped model, ValueError says what is damaged."""
    with names_shipped(folder):
        return checkpoints.load_model(folder, device)


def open_database(loaded: LoadedModel, settings: EvaluateConfig) -> Database:
    """The database to evaluate on. ValueError if a split that is needed has fewer than two photographs.

    The test split is needed; the validation split only if a threshold is chosen on it.
    """
    database = Database(Path(settings.database) if settings.database else loaded.config.data.folder)
    for split in ("validation", "test") if chooses(loaded, database, settings) else ("test",):
        if len({database.groups[row] for row in database.rows(split)}) < 2:
            raise ValueError(
                f"the {split} split of {database.folder} has fewer than two pictures, too few for an evaluation; "
                "build a larger database with python Database_create.py"
            )
    return database


def chooses(loaded: LoadedModel, database: Database, settings: EvaluateConfig) -> bool:
    """Whether a threshold is chosen on the validation split; else the stored one is used."""
    return is_own(loaded, database) or settings.threshold_for is not None


def is_own(loaded: LoadedModel, database: Database) -> bool:
    """Whether the model was trained on this database."""
    return database.folder.resolve() == loaded.config.data.folder.resolve()


def collect_splits(database: Database) -> dict[str, Texts]:
    """The texts to score, by split. Of validation what threshold.json needs: the mixture and swaps.

    Without validation if that split is too small, or if none of its captions has a false text.
    """
    found = {"test": collect_texts(database, database.rows("test"), most=MOST)}
    rows = [row for row, split in enumerate(database.split_of) if split == "validation"]
    if len({database.groups[row] for row in rows}) >= 2:
        validation = collect_texts(database, rows, ("mixture", "swap"))
        if len(validation.false["mixture"].of):
            found = {"validation": validation, **found}
    return found


def check_splits(database: Database, texts: Mapping[str, Texts], chooses_threshold: bool) -> None:
    """ValueError, before anything is scored, if a split that is needed has no false texts."""
    absent = [] if "validation" in texts or not chooses_threshold else ["validation"]
    absent += [] if len(texts["test"].false["mixture"].of) else ["test"]
    if absent:
        raise ValueError(
            f"no caption of the {absent[0]} split of {database.folder} gets a hard negative to compare it with; "
            "build a database with more or longer captions"
        )


def evaluate(
    folder: Path, loaded: LoadedModel, database: Database, texts: dict[str, Texts], settings: EvaluateConfig
) -> Evaluation:
    """Evaluate one model on the validation and the test split of a database; texts: by split."""
    started = time.perf_counter()
    own = is_own(loaded, database)
    if own and loaded.model.world is None:  # of a training that was stopped, or of an earlier version
        loaded.model.world = make_world(loaded, database)
        save_world(folder, loaded.model.world)
    scores = {split: score_split(loaded, database, split, texts[split]) for split in texts}
    chosen = chooses(loaded, database, settings)
    threshold = loaded.threshold
    if chosen:
        criterion = Criterion.parse(settings.threshold_for or "balanced-accuracy")
        photographs = groups_of(database, "validation")
        threshold = choose_threshold(
            texts["validation"], scores["validation"], photographs, loaded.threshold.epoch, criterion
        )
    if own:  # a threshold that was chosen on another database is only for this report
        checkpoints.save_threshold(folder, threshold)
    groups = groups_of(database, "test")
    boot = Bootstrap(len(groups), settings.resamples)
    one = Evaluation(folder, loaded, database, own, chosen, threshold, texts, scores, boot, groups)
    blind = blind_scores(database, texts["test"], settings.blind_captions)
    test = scores["test"]
    one.rows = make_rows(texts["test"], test.caption, test.false, threshold.threshold, blind, boot)
    galleries = {
        split: Gallery(scores[split], texts[split].captions, texts[split].owner, groups_of(database, split))
        for split in texts
    }
    one.retrieval = retrieve(loaded, galleries["test"], galleries.get("validation"), boot, settings.rerank)
    one.words = point_at_words(loaded, texts["test"], test, boot)
    one.outside = count_outside(one)
    one.corrections = correct_swaps(one, settings.corrections)
    one.seconds = time.perf_counter() - started
    return one


def groups_of(database: Database, split: str) -> np.ndarray:
    """(N,) identity of the photograph of each picture of a split."""
    return np.array([database.groups[row] for row in database.rows(split)])


def choose_threshold(
    texts: Texts, scores: Scores, photographs: np.ndarray, epoch: int, criterion: Criterion
) -> Threshold:
    """The best threshold for the mixture of the validation split; photographs: (N,) identity of each picture's."""
    false = texts.false["mixture"]
    of = photographs[texts.owner[false.of]]
    chosen = Threshold.choose(scores.caption[false.of], scores.false["mixture"], epoch, criterion, (of, of))
    return replace(chosen, accuracies=measure_categories(texts, scores, chosen.threshold))


def measure_categories(texts: Texts, scores: Scores, threshold: float) -> dict[str, float]:
    """Balanced accuracy of the captions and swaps of each category that has at least FEWEST swaps."""
    false, found = texts.false["swap"], {}
    for category in np.unique(false.categories):
        those = false.categories == category
        if those.sum() >= FEWEST:
            measured = metrics.rates(scores.caption[false.of[those]], scores.false["swap"][those], threshold)
            found[str(category)] = round(measured.balanced_accuracy, 3)
    return found


def count_outside(one: Evaluation) -> dict[str, float]:
    """Fractions of the pictures and captions of a split that count as outside of what the model knows."""
    found, index = {}, one.loaded.tokenizer.index
    for split, texts in one.texts.items():
        if one.loaded.model.world is not None:
            found[f"{split}_pictures"] = float(np.mean(one.scores[split].unlike > 1))
        found[f"{split}_captions"] = float(np.mean([is_foreign(text, index) for text in texts.captions]))
    return found


def correct_swaps(one: Evaluation, count: int) -> dict[str, Any]:
    """How often the first correction of a swap, or one of the first three, restores the caption; the same by chance.

    Measured on `count` swaps, evenly spread over the test split. A correction counts if all words are those of the
    caption and it scores higher than the swap.
    """
    false, texts = one.texts["test"].false["swap"], one.texts["test"]
    some = np.linspace(0, len(false.of) - 1, min(count, len(false.of))).astype(int)
    if not len(some):
        return {}
    judge, of = Judge(one.loaded), texts.owner[false.of[some]]
    parses = suggest.parse_texts([false.texts[i].text for i in some])
    hits: dict[int, list[bool]] = {1: [], 3: []}
    chance: dict[int, list[float]] = {1: [], 3: []}
    for i, picture, parse in zip(progress(some, "corrections", " swaps"), of, parses):
        text, caption = false.texts[i].text, texts.captions[false.of[i]]
        vectors = one.scores["test"].pictures[picture, None]
        ranked = suggest.rank(judge, vectors, text, parse, suggest.PLACES)
        right = [is_same_text(candidate.negative.text, caption) for candidate in ranked.candidates]
        better = [is_right and after > ranked.before for is_right, after in zip(right, ranked.after)]
        for k in hits:
            hits[k].append(any(better[:k]))
            chance[k].append(min(1.0, k / len(right)) if any(right) else 0.0)
    found: dict[str, Any] = {"n": len(some)}
    for k in hits:
        found[f"first_{k}"] = interval(one.boot.mean(np.array(hits[k]), of))
        found[f"first_{k}_by_chance"] = float(np.mean(chance[k]))
    return found


def is_same_text(text: str, other: str) -> bool:
    """Whether both texts have the same words in the same order."""
    return [word.text for word in split_words(text)] == [word.text for word in split_words(other)]


if __name__ == "__main__":
    main()
