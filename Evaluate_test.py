"""Choose the threshold on validation, judge the test split once, write results.json and the plots.

python Evaluate_test.py [--model Models/NAME]
"""

import json
import time
from collections.abc import Mapping, Sequence
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
from DataBase_functions import Database, pad, prepare
from Evaluation_lib import IN_BATCH, Texts, blind_control, collect_texts
from Functions import Floats, LoadedModel

BATCH = 64
REFERENCES = 1000  # pictures and captions of the validation split that retrieval by CSLS compares with
SHOWN = ("swap", "exchange", "mined", IN_BATCH)  # in the plots
BLIND_NAMES = {"tfidf": "TF-IDF", "lstm": "LSTM"}


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


class Scores(NamedTuple):
    """What the model says of a split."""

    caption: Floats  # (T,)
    false: dict[str, Floats]  # by kind, one for each false text
    pictures: Tensor  # (N, K, D) vectors
    captions: Tensor  # (T, K, D) vectors


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
        threshold = choose_threshold(texts["validation"], scores["validation"], loaded.threshold.epoch)
    except ValueError as error:
        fail(str(error))
    own = database.folder.resolve() == loaded.config.data.folder.resolve()
    if own:  # another database's threshold is for this report, not for the model's users
        Functions.save_threshold(folder, threshold)
    blind = blind_control(database, texts["test"], settings.blind_captions)
    rows = judge(texts["test"], scores["test"], threshold.threshold, blind)
    groups = np.array([database.groups[row] for row in database.rows("test")])
    matrix, corrected = retrieval_scores(loaded, scores["test"], scores["validation"])
    retrieval, without_hubs = (
        Functions.retrieval_metrics(ranking, texts["test"].owner, groups) for ranking in (matrix, corrected)
    )
    results = {
        "model": str(folder),
        "database": str(database.folder),
        "fingerprint": database.fingerprint,
        "config": json.loads((folder / "config.json").read_text(encoding="utf-8")),
        "threshold": asdict(threshold),
        "equilibrium_threshold": Functions.equilibrium_threshold(
            *true_and_false(texts["validation"], scores["validation"])
        ),
        "test_photographs": len(groups),
        "test_captions": len(texts["test"].captions),
        "test": rows,
        "retrieval": retrieval,
        "retrieval_csls": without_hubs,
        "hardware": Functions.hardware(device),
        "seconds": round(time.perf_counter() - started, 1),
    }
    suffix = "" if own else f"_{database.folder.name}"
    Functions.write_json(folder / f"results{suffix}.json", results)
    picture = loaded.config.plots_folder / f"Threshold_Analysis_{folder.name}{suffix}.png"
    plot_thresholds(picture, scores, texts, threshold.threshold, rows)
    print_report(results)
    print(f"written: {folder / f'results{suffix}.json'}, {picture}")


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
        number: dict[str, int] = {}  # of each different text: a foreign caption need not be encoded again
        for text in (*texts.captions, *(negative.text for false in texts.false.values() for negative in false.texts)):
            number.setdefault(text, len(number))
        vectors = encode_texts(loaded, list(number), device)
    pictures = torch.cat(patches)
    captions = [number[text] for text in texts.captions]

    def pairs(owner: NDArray[np.int64], which: Sequence[int]) -> Floats:
        whose, texts = torch.from_numpy(owner).to(device), torch.tensor(which, dtype=torch.long, device=device)
        parts = zip(whose.split(BATCH), texts.split(BATCH))
        scores = [model.pair_scores(pictures[some], vectors[part]) for some, part in parts if len(some)]
        return torch.cat(scores).cpu().numpy() if scores else np.zeros(0, dtype=np.float32)

    return Scores(
        caption=pairs(texts.owner, captions),
        false={
            kind: pairs(texts.owner[false.of], [number[negative.text] for negative in false.texts])
            for kind, false in texts.false.items()
        },
        pictures=pictures,
        captions=vectors[captions],
    )


@torch.no_grad()
def retrieval_scores(loaded: LoadedModel, test: Scores, validation: Scores) -> tuple[Floats, Floats]:
    """Scores (N, T) of all test pictures with all test captions: as they are, and by CSLS.

    Some captions score high with every picture and take the first place of many ("hubs"). CSLS subtracts half of what a
    caption reaches with its 10 best of other pictures, and the same of each picture; here the others are up to 1,000
    photographs of the validation split, so nothing of the test split is known beforehand.
    Source: Conneau et al. 2018.
    """
    compare = loaded.model.all_scores
    matrix = compare(test.pictures, test.captions).cpu().numpy()
    of_captions = compare(validation.pictures[:REFERENCES], test.captions).cpu().numpy()
    of_pictures = compare(test.pictures, validation.captions[:REFERENCES]).cpu().numpy()
    return matrix, Functions.csls(matrix, of_captions, of_pictures)


def encode_texts(loaded: LoadedModel, texts: Sequence[str], device: torch.device) -> Tensor:
    """Word vectors (T, L, D) in the order of `texts`; L words in the longest."""
    words = pad([loaded.tokenizer.encode(text, loaded.config.data.max_words) for text in texts]).to(device)
    return torch.cat([loaded.model.encode_texts(some) for some in words.split(32 * BATCH)])


def true_and_false(texts: Texts, scores: Scores, kind: str = "mixture") -> tuple[Floats, Floats]:
    """Scores of the captions that have a false text of a kind, and of these texts."""
    return scores.caption[texts.false[kind].of], scores.false[kind]


def choose_threshold(texts: Texts, validation: Scores, epoch: int) -> Functions.Threshold:
    """Best balanced accuracy of validation captions against the mixture of hard negatives that training uses."""
    true, false = true_and_false(texts, validation)
    chosen = Functions.best_threshold(true, false)
    return Functions.Threshold(chosen, "validation", epoch=epoch, **Functions.rates(true, false, chosen)._asdict())


def judge(
    texts: Texts, scores: Scores, threshold: float, blind: Mapping[str, Mapping[str, float]]
) -> list[dict[str, Any]]:
    """One row per kind of false text and per category of swaps, at the threshold from validation.

    A caption counts in a row if it has a false text of that kind: so the classes are equal, and the row can be
    compared with what the blind judges reach on the same texts.
    """
    rows = []
    for kind, false in texts.false.items():
        if not len(false.of):
            continue
        rows.append(row(kind, *true_and_false(texts, scores, kind), threshold, blind))
        for category in sorted(set(false.categories)) if kind == "swap" else ():
            few = false.categories == category
            true = scores.caption[false.of[few]]
            rows.append(row(f"{kind}: {category}", true, scores.false[kind][few], threshold, blind))
    return rows


def row(
    name: str, true: Floats, false: Floats, threshold: float, blind: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """The figures of some captions and as many false texts."""
    from sklearn.metrics import roc_auc_score

    labels = np.r_[np.ones(len(true)), np.zeros(len(false))]
    return {
        "negatives": name,
        "n": len(false),
        **Functions.rates(true, false, threshold)._asdict(),
        "roc_auc": float(roc_auc_score(labels, np.r_[true, false])),
        "blind_balanced_accuracy": dict(blind.get(name, {})),
    }


def print_report(results: dict[str, Any]) -> None:
    """The results as a table on the screen."""
    at = results["threshold"]
    print(
        f"\nthreshold {at['threshold']:.4f} from validation (balanced accuracy {at['balanced_accuracy']:.4f}); "
        f"test: {results['test_photographs']} photographs, {results['test_captions']} captions\n"
    )
    heads = ("bal.acc", "recall", "specif.", "ROC-AUC", "", *BLIND_NAMES.values())
    print(f"{'':62s}   blind: no picture")
    print(f"{'against':24s}{'n':>6s}  " + " ".join(f"{head:>{7 if head else 1}s}" for head in heads))
    for row in results["test"]:
        blind = row["blind_balanced_accuracy"]
        told = " ".join(f"{blind[name]:7.4f}" if name in blind else "      –" for name in BLIND_NAMES)
        print(
            f"{row['negatives']:24s}{row['n']:6d}  {row['balanced_accuracy']:7.4f} {row['recall']:7.4f} "
            f"{row['specificity']:7.4f} {row['roc_auc']:7.4f}   {told}"
        )
    print(f"\n{'retrieval':24s}{'R@1':>7s} {'R@5':>7s} {'R@10':>7s} {'median rank':>12s}")
    for kind, note in (("retrieval", ""), ("retrieval_csls", ", CSLS")):
        for name in ("picture_to_text", "text_to_picture"):
            values = [results[kind][f"{name}_recall@{k}"] for k in (1, 5, 10)]
            rank = results[kind][f"{name}_median_rank"]
            print(f"{name.replace('_', ' ') + note:24s}" + " ".join(f"{v:7.4f}" for v in values) + f"{rank:13.1f}")
    print()


def plot_thresholds(
    path: Path, scores: dict[str, Scores], texts: dict[str, Texts], threshold: float, rows: Sequence[dict[str, Any]]
) -> None:
    """Four panels: rates over the threshold (validation), scores by kind, ROC, and accuracy by category (test)."""
    plt = Functions.pyplot()
    test = scores["test"]
    validation = true_and_false(texts["validation"], scores["validation"])
    figure, axes = plt.subplots(2, 2, figsize=(12, 9.5), layout="constrained")
    panel = axes[0, 0]
    curve = Functions.threshold_curve(*validation)
    panel.plot(curve.thresholds, curve.recall, label="recall")
    panel.plot(curve.thresholds, curve.specificity, label="specificity")
    panel.plot(curve.thresholds, (curve.recall + curve.specificity) / 2, "k", lw=2, label="balanced accuracy")
    equal = Functions.equilibrium_threshold(*validation)
    panel.axvline(threshold, color="k", ls="--", lw=1, label=f"best balanced accuracy: {threshold:.3f}")
    panel.axvline(equal, color="gray", ls=":", lw=1.5, label=f"recall = specificity: {equal:.3f}")
    panel.set(title="Choosing the threshold (validation)", xlabel="threshold", ylabel="share", ylim=(0, 1.02))
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.11), "fontsize": 9, "frameon": False}
    panel.legend(ncols=3, **below)

    panel = axes[0, 1]
    kinds = {"true captions": test.caption, **{kind: test.false[kind] for kind in SHOWN if len(test.false[kind])}}
    low, high = min(map(np.min, kinds.values())), max(map(np.max, kinds.values()))
    for name, values in kinds.items():
        panel.hist(values, bins=np.linspace(low, high, 60), density=True, alpha=0.55, label=f"{name} ({len(values)})")
    panel.axvline(threshold, color="k", ls="--", lw=1)
    panel.set(title="Scores (test)", xlabel="score", ylabel="density")
    panel.legend(fontsize=9)

    panel = axes[1, 0]
    for row in rows:
        if row["negatives"] not in SHOWN:
            continue
        roc = Functions.threshold_curve(*true_and_false(texts["test"], test, row["negatives"]))
        panel.plot(1 - roc.specificity, roc.recall, label=f"{row['negatives']}: area {row['roc_auc']:.3f}")
        panel.plot(1 - row["specificity"], row["recall"], "ko", ms=5)
    panel.plot([0, 1], [0, 1], color="gray", ls=":", lw=1)
    panel.set(title="ROC (test), dot = threshold", xlabel="1 - specificity", ylabel="recall", aspect="equal")
    panel.legend(loc="lower right", fontsize=9)

    panel = axes[1, 1]
    names = [f"{row['negatives'].replace('swap: ', '– ')} ({row['n']})" for row in rows][::-1]
    panel.barh(names, [row["balanced_accuracy"] for row in rows][::-1], color="C0", alpha=0.85, label="model")
    for judge, mark in zip(BLIND_NAMES, ("k|", "kx")):
        blind = [(row["blind_balanced_accuracy"].get(judge), i) for i, row in enumerate(rows[::-1])]
        blind = [(value, i) for value, i in blind if value is not None]
        panel.plot(*np.array(blind).reshape(-1, 2).T, mark, ms=8, mew=2, label=f"blind: {BLIND_NAMES[judge]}")
    panel.set(title="Balanced accuracy by kind of false text (test)", xlim=(0.4, 1.0))
    panel.tick_params(axis="y", labelsize=9)
    panel.legend(ncols=2, **below)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
