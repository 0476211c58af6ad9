"""Choose the threshold on validation, judge the test split once, write results.json and the plots.

python Evaluate_test.py [--model Models/NAME]
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

import Functions
from Config import fail, read_command_line
from DataBase_functions import Database, draw_negatives, pad, prepare, seeded
from Functions import Floats, LoadedModel, Rates
from Negative_map import Negative
from Tokenizer_lib import split_words

SEED = 0  # of the evaluation's negatives: the same for every model, so that models can be compared
BATCH = 64


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of one evaluation."""

    model: str = "Models/scenes"
    """Folder of the trained model."""
    database: str | None = None
    """Folder of another database than the one that the model was trained on."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps ..."""
    blind_captions: int = 30_000
    """Training captions that the blind control learns from."""


class Texts(NamedTuple):
    """Captions of a split with one hard negative each, where one can be made, and one foreign caption each."""

    captions: list[str]
    owner: NDArray[np.int64]  # (T,) picture of each caption, counted within the split
    negatives: list[Negative]
    negative_of: NDArray[np.int64]  # (K,) caption of each hard negative
    foreign: NDArray[np.int64]  # (T,) a caption of another photograph


class Scores(NamedTuple):
    """What the model says of a split."""

    caption: Floats  # (T,)
    negative: Floats  # (K,)
    foreign: Floats  # (T,)
    matrix: Floats | None  # (N, T), of the test split only: retrieval is its one use


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(EvaluateConfig, __doc__ or "", args)
    started = time.perf_counter()
    folder = Path(settings.model)
    try:
        device = Functions.choose_device(settings.device)
        loaded = Functions.load_model(folder, device)
        database = Database(Path(settings.database) if settings.database else loaded.config.data.folder)
        texts = {split: collect_texts(database, database.rows(split)) for split in ("validation", "test")}
    except (ValueError, OSError) as error:
        fail(str(error))
    scores = {split: score_split(loaded, database, split, texts[split]) for split in texts}

    try:
        threshold = choose_threshold(scores["validation"], loaded.threshold.epoch)
    except ValueError as error:
        fail(str(error))
    own = database.folder.resolve() == loaded.config.data.folder.resolve()
    if own:  # another database's threshold is for this report, not for the model's users
        Functions.save_threshold(folder, threshold)
    blind = blind_control(database, texts["test"], settings.blind_captions)
    rows = judge(texts["test"], scores["test"], threshold.threshold, blind)
    groups = np.array([database.groups[row] for row in database.rows("test")])
    assert scores["test"].matrix is not None
    retrieval = Functions.retrieval_metrics(scores["test"].matrix, texts["test"].owner, groups)
    results = {
        "model": str(folder),
        "database": str(database.folder),
        "fingerprint": database.fingerprint,
        "config": json.loads((folder / "config.json").read_text(encoding="utf-8")),
        "threshold": asdict(threshold),
        "equilibrium_threshold": Functions.equilibrium_threshold(
            scores["validation"].caption, scores["validation"].negative
        ),
        "test_photographs": len(groups),
        "test_captions": len(texts["test"].captions),
        "test": rows,
        "retrieval": retrieval,
        "hardware": Functions.hardware(device),
        "seconds": round(time.perf_counter() - started, 1),
    }
    suffix = "" if own else f"_{database.folder.name}"
    Functions.write_json(folder / f"results{suffix}.json", results)
    picture = loaded.config.plots_folder / f"Threshold_Analysis_{folder.name}{suffix}.png"
    plot_thresholds(picture, scores, texts["test"], threshold.threshold, rows)
    print_report(results)
    print(f"written: {folder / f'results{suffix}.json'}, {picture}")


def collect_texts(database: Database, rows: Sequence[int]) -> Texts:
    """All captions of a split, and false texts that depend on the database alone."""
    captions: list[str] = []
    owner: list[int] = []
    negatives: list[Negative] = []
    negative_of: list[int] = []
    for n, row in enumerate(rows):
        everything = database.captions(row)
        for which, caption in enumerate(everything):
            rng = seeded(SEED, "evaluation", database.ids[row], which)
            for negative in draw_negatives(everything, which, 1, database.word_counts, rng):
                negatives.append(negative)
                negative_of.append(len(captions))
            captions.append(caption.text)
            owner.append(n)
    whose = np.array(owner)
    groups = np.array([database.groups[row] for row in rows])[whose]
    return Texts(captions, whose, negatives, np.array(negative_of, dtype=np.int64), foreign_captions(groups))


def foreign_captions(groups: NDArray[np.str_]) -> NDArray[np.int64]:
    """For each caption the number of a random one of another photograph. ValueError if there is none."""
    if len(np.unique(groups)) < 2:
        raise ValueError("a split needs at least two photographs to be evaluated")
    rng = np.random.default_rng(SEED)
    foreign = rng.integers(len(groups), size=len(groups))
    while (same := groups[foreign] == groups).any():
        foreign[same] = rng.integers(len(groups), size=same.sum())
    return foreign


@torch.no_grad()
def score_split(loaded: LoadedModel, database: Database, split: str, texts: Texts) -> Scores:
    """Encode each picture and each text once, then score pairs and the whole matrix."""
    model, device = loaded.model, loaded.model.log_scale.device
    precision = Functions.choose_precision(loaded.config.precision, device)
    rows, side = database.rows(split), loaded.config.data.side
    with Functions.autocast(device, precision):
        patches = []
        for start in tqdm(range(0, len(rows), BATCH), desc=f"{split} pictures", unit="batch", leave=False):
            some = torch.stack([prepare(database.picture(row), side) for row in rows[start : start + BATCH]])
            some = some.to(device).contiguous(memory_format=torch.channels_last)
            patches.append(model.encode_pictures(some))
        words = encode_texts(loaded, [*texts.captions, *(negative.text for negative in texts.negatives)], device)
    pictures = torch.cat(patches)
    captions, negatives = words[: len(texts.captions)], words[len(texts.captions) :]

    def pairs(owner: NDArray[np.int64], vectors: Tensor) -> Floats:
        whose = torch.from_numpy(owner).to(device)
        parts = zip(whose.split(BATCH), vectors.split(BATCH))
        scores = [model.pair_scores(pictures[some], part) for some, part in parts if len(some)]
        return torch.cat(scores).cpu().numpy() if scores else np.zeros(0, dtype=np.float32)

    return Scores(
        caption=pairs(texts.owner, captions),
        negative=pairs(texts.owner[texts.negative_of], negatives),
        foreign=pairs(texts.owner, captions[torch.from_numpy(texts.foreign).to(device)]),
        matrix=model.all_scores(pictures, captions).cpu().numpy() if split == "test" else None,
    )


def encode_texts(loaded: LoadedModel, texts: Sequence[str], device: torch.device) -> Tensor:
    """Word vectors (T, L, D) in the order of `texts`; L words in the longest."""
    words = pad([loaded.tokenizer.encode(text, loaded.config.data.max_words) for text in texts]).to(device)
    return torch.cat([loaded.model.encode_texts(some) for some in words.split(32 * BATCH)])


def choose_threshold(validation: Scores, epoch: int) -> Functions.Threshold:
    """Best balanced accuracy of validation captions against their hard negatives."""
    chosen = Functions.best_threshold(validation.caption, validation.negative)
    at = Functions.rates(validation.caption, validation.negative, chosen)
    return Functions.Threshold(chosen, "validation", epoch=epoch, **at._asdict())


def blind_control(database: Database, test: Texts, most: int) -> NDArray[np.bool_]:
    """What a judge that never sees a picture says: True = "a true caption", for test captions, then negatives.

    TF-IDF of words and word pairs with logistic regression, trained on the train split's captions and hard
    negatives. Where it does well, the negatives give themselves away, and the model's figure is worth less.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rows = database.rows("train")
    seeded(SEED, "blind").shuffle(rows)
    per_row = max(1, len(database.captions(rows[0])))
    train = collect_texts(database, rows[: max(2, most // per_row)])
    # Each caption stands with its negative: without one it would only teach the share of captions that get one.
    true = [train.captions[i] for i in train.negative_of]
    false = [negative.text for negative in train.negatives]
    classifier = make_pipeline(
        TfidfVectorizer(analyzer=blind_features, min_df=2), LogisticRegression(C=10, max_iter=1000)
    )
    classifier.fit(true + false, [True] * len(true) + [False] * len(false))
    return classifier.predict(test.captions + [negative.text for negative in test.negatives])


def blind_features(text: str) -> list[str]:
    words = [word.text for word in split_words(text)]
    return words + [f"{a} {b}" for a, b in zip(["<s>", *words], [*words, "</s>"])]


def judge(texts: Texts, scores: Scores, threshold: float, blind: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """One row per kind of false text: captions that have one against it, at the threshold from validation."""
    blind_caption, blind_negative = blind[: len(texts.captions)], blind[len(texts.captions) :]
    categories = np.array([negative.category for negative in texts.negatives])

    def row(name: str, true: Floats, false: Floats, blind_rates: Rates | None) -> dict[str, Any]:
        from sklearn.metrics import roc_auc_score

        labels = np.r_[np.ones(len(true)), np.zeros(len(false))]
        return {
            "negatives": name,
            "n": len(false),
            **Functions.rates(true, false, threshold)._asdict(),
            "roc_auc": float(roc_auc_score(labels, np.r_[true, false])),
            "blind_balanced_accuracy": blind_rates.balanced_accuracy if blind_rates else None,
        }

    rows = []
    for name in ["swap", *sorted(set(categories))]:
        chosen = np.ones(len(categories), dtype=bool) if name == "swap" else categories == name
        of = texts.negative_of[chosen]
        blind_rates = Functions.rates(blind_caption[of].astype(float), blind_negative[chosen].astype(float), 0.5)
        label = name if name == "swap" else f"swap: {name}"
        rows.append(row(label, scores.caption[of], scores.negative[chosen], blind_rates))
    rows.append(row("random caption", scores.caption, scores.foreign, None))
    return rows


def print_report(results: dict[str, Any]) -> None:
    """The results as a table on the screen."""
    at = results["threshold"]
    print(
        f"\nthreshold {at['threshold']:.4f} from validation (balanced accuracy {at['balanced_accuracy']:.4f}); "
        f"test: {results['test_photographs']} photographs, {results['test_captions']} captions\n"
    )
    print(f"{'against':24s}{'n':>6s}  {'bal.acc':>7s} {'recall':>7s} {'specif.':>7s} {'ROC-AUC':>7s} {'blind':>7s}")
    for row in results["test"]:
        blind = row["blind_balanced_accuracy"]
        print(
            f"{row['negatives']:24s}{row['n']:6d}  {row['balanced_accuracy']:7.4f} {row['recall']:7.4f} "
            f"{row['specificity']:7.4f} {row['roc_auc']:7.4f} " + (f"{blind:7.4f}" if blind is not None else "      –")
        )
    print(f"\n{'retrieval':24s}{'R@1':>7s} {'R@5':>7s} {'R@10':>7s} {'median rank':>12s}")
    for name in ("picture_to_text", "text_to_picture"):
        values = [results["retrieval"][f"{name}_recall@{k}"] for k in (1, 5, 10)]
        rank = results["retrieval"][f"{name}_median_rank"]
        print(f"{name.replace('_', ' '):24s}" + " ".join(f"{v:7.4f}" for v in values) + f"{rank:13.1f}")
    print()


def plot_thresholds(
    path: Path, scores: dict[str, Scores], texts: Texts, threshold: float, rows: Sequence[dict[str, Any]]
) -> None:
    """Four panels: rates over the threshold (validation), scores by kind, ROC, and accuracy by category (test)."""
    plt = Functions.pyplot()
    validation, test = scores["validation"], scores["test"]
    figure, axes = plt.subplots(2, 2, figsize=(12, 9.5), layout="constrained")
    panel = axes[0, 0]
    curve = Functions.threshold_curve(validation.caption, validation.negative)
    panel.plot(curve.thresholds, curve.recall, label="recall")
    panel.plot(curve.thresholds, curve.specificity, label="specificity")
    panel.plot(curve.thresholds, (curve.recall + curve.specificity) / 2, "k", lw=2, label="balanced accuracy")
    equal = Functions.equilibrium_threshold(validation.caption, validation.negative)
    panel.axvline(threshold, color="k", ls="--", lw=1, label=f"best balanced accuracy: {threshold:.3f}")
    panel.axvline(equal, color="gray", ls=":", lw=1.5, label=f"recall = specificity: {equal:.3f}")
    panel.set(title="Choosing the threshold (validation)", xlabel="threshold", ylabel="share", ylim=(0, 1.02))
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.11), "fontsize": 9, "frameon": False}
    panel.legend(ncols=3, **below)

    panel = axes[0, 1]
    kinds = {"true captions": test.caption, "word swaps": test.negative, "random captions": test.foreign}
    low, high = min(map(np.min, kinds.values())), max(map(np.max, kinds.values()))
    for name, values in kinds.items():
        panel.hist(values, bins=np.linspace(low, high, 60), density=True, alpha=0.55, label=f"{name} ({len(values)})")
    panel.axvline(threshold, color="k", ls="--", lw=1)
    panel.set(title="Scores (test)", xlabel="score", ylabel="density")
    panel.legend(fontsize=9)

    panel = axes[1, 0]
    for name, row, true, false in (
        ("word swaps", rows[0], test.caption[texts.negative_of], test.negative),
        ("random captions", rows[-1], test.caption, test.foreign),
    ):
        roc = Functions.threshold_curve(true, false)
        panel.plot(1 - roc.specificity, roc.recall, label=f"{name}: area {row['roc_auc']:.3f}")
        panel.plot(1 - row["specificity"], row["recall"], "ko", ms=5)
    panel.plot([0, 1], [0, 1], color="gray", ls=":", lw=1)
    panel.set(title="ROC (test), dot = threshold", xlabel="1 - specificity", ylabel="recall", aspect="equal")
    panel.legend(loc="lower right", fontsize=9)

    panel = axes[1, 1]
    names = [f"{row['negatives'].removeprefix('swap: ')} ({row['n']})" for row in rows][::-1]
    panel.barh(names, [row["balanced_accuracy"] for row in rows][::-1], color="C0", alpha=0.85, label="model")
    blind = [(i, row["blind_balanced_accuracy"]) for i, row in enumerate(rows[::-1])]
    blind = [(i, value) for i, value in blind if value is not None]
    panel.plot([v for _, v in blind], [i for i, _ in blind], "k|", ms=12, mew=2, label="blind: text alone")
    panel.set(title="Balanced accuracy by kind of false text (test)", xlim=(0.4, 1.0))
    panel.tick_params(axis="y", labelsize=9)
    panel.legend(ncols=2, **below)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
