"""Train the judge: python Main_train.py [scenes|frozen|finetune] [--section.field VALUE ...]

Reads a database, writes Models/NAME (weights, vocabulary, config, threshold) and Plots/NAME/training_log.csv.
"""

import math
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from tqdm import tqdm

import Functions
from Architectures import SiameseModel
from Config import PRESETS, Config, OptimConfig, fail, read_command_line, to_json
from DataBase_functions import Batch, Database, EpochSampler, FeatureCache, PairDataset, make_loader
from Tokenizer_lib import Tokenizer


@dataclass
class Run:
    """All that a training run holds; `epoch`, `best` and `waited` are its progress."""

    config: Config
    device: torch.device
    precision: torch.dtype
    model: SiameseModel
    optimizer: torch.optim.Optimizer
    scheduler: LambdaLR
    scaler: torch.amp.GradScaler
    train_loader: DataLoader
    train_sampler: EpochSampler
    val_loader: DataLoader
    epoch: int = 0  # the next one
    best: float = -1.0  # validation balanced accuracy
    waited: int = 0  # epochs since then
    fingerprint: str = ""  # of the database
    plan: str = ""  # of its hard negatives

    def autocast(self) -> torch.autocast:
        return Functions.autocast(self.device, self.precision)

    def encode_pictures(self, pictures: Tensor) -> Tensor:
        with self.autocast():
            return self.model.encode_pictures(pictures)

    def encode_texts(self, words: Tensor) -> Tensor:
        with self.autocast():
            return self.model.encode_texts(words)

    def loss(self, patches: Tensor, words: Tensor, batch: Batch) -> Tensor:
        """In float32: bfloat16 keeps 2 to 3 digits of a cosine, and a logit is up to 100 times as large."""
        in_batch = self.config.negatives.in_batch
        return Functions.total_loss(self.model, patches, words, batch.texts, self.config.loss, in_batch)


def main(args: Sequence[str] | None = None) -> None:
    config = read_command_line(PRESETS, __doc__ or "", args)
    try:
        build_missing_scenes(config)
        run = build_run(config)
        if config.resume:
            resume(run)
    except (ValueError, OSError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("stopped before the first epoch; the same command starts again", code=130)
    try:
        train(run)
    except KeyboardInterrupt:
        saved = f"{run.epoch} whole epochs are saved; go on with the same command and --resume"
        fail(f"stopped; {saved if run.epoch else 'no whole epoch is saved yet, start again'}", code=130)
    except FloatingPointError as error:
        fail(str(error), code=1)
    except (ValueError, OSError) as error:
        fail(f"{error}; the last whole epoch is saved, go on with --resume")
    print(
        f"best validation balanced accuracy {run.best:.4f} on captions against hard negatives; "
        f"next: python Evaluate_test.py --model {config.model_folder}"
    )


def train(run: Run) -> None:
    """Epochs until the last one, or until validation no longer gets better."""
    for epoch in range(run.epoch, run.config.optim.epochs):
        if run.waited >= run.config.optim.patience:
            print(f"no better validation score for {run.waited} epochs: stopped early")
            break
        started = time.perf_counter()
        trained = train_epoch(run, epoch)
        seconds = time.perf_counter() - started
        validated = validate(run)
        finish_epoch(run, epoch, trained, validated, seconds)


def build_missing_scenes(config: Config) -> None:
    """Draw the embedded default database if it is asked for and not there yet."""
    if config.data.name == "scenes" and not config.data.folder.exists():
        script = Path(__file__).with_name("Database_create.py")
        done = subprocess.run([sys.executable, script, "--root", config.data.root], check=False)
        if done.returncode:
            raise SystemExit(done.returncode)


def build_run(config: Config) -> Run:
    """Everything before the first step. ValueError or OSError tells what its user can mend."""
    folder = config.model_folder
    earlier = [folder / name for name in ("last.json", "best.safetensors") if (folder / name).exists()]
    if earlier and not (config.resume or config.overwrite):
        raise ValueError(f"{folder} holds an earlier run; add --resume, --overwrite or --name OTHER")
    device = Functions.choose_device(config.device)
    precision = Functions.choose_precision(config.precision, device)
    Functions.seed_everything(config.seed)
    database = Database(config.data.folder)
    rows = {
        split: database.rows(split) for split in ("train", "validation")
    }  # an empty one is told before minutes pass
    tokenizer = Tokenizer.build(database.word_counts, config.data.min_count)
    model = SiameseModel(len(tokenizer), config.backbone, config.model, config.loss.temperature)
    Functions.load_backbone(model, config.backbone)
    model.to(device)
    model.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    features = open_feature_cache(config, database, model, device, precision) if config.backbone.frozen else None
    data, seed = config.data, config.seed
    train_set = PairDataset(database, tokenizer, data, config.negatives, config.augment, seed, features)
    val_set = PairDataset(database, tokenizer, data, replace(config.negatives, most_swaps=1), None, seed, features)
    train_loader, sampler = make_loader(train_set, rows["train"], seed, shuffle=True, device=device)
    val_loader, _ = make_loader(val_set, rows["validation"], seed, shuffle=False, device=device)

    optimizer = make_optimizer(model, config)
    scheduler = make_scheduler(optimizer, config.optim, len(train_loader), config.backbone.unfreeze_epoch)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    if not config.resume:
        for old in (*folder.glob("last*"), *folder.glob("*.json"), *earlier, config.plots_folder / "training_log.csv"):
            old.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        config.plots_folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(to_json(replace(config, overwrite=False)), encoding="utf-8")
        tokenizer.save(folder / "vocabulary.json")
    weights = sum(p.numel() for p in model.parameters())
    print(
        f"{config.name}: {weights / 1e6:.1f} M weights, {len(tokenizer)} words, {len(sampler.rows)} training and "
        f"{len(database.rows('validation'))} validation photographs; {Functions.hardware(device)}, {precision}"
    )
    return Run(
        *(config, device, precision, model, optimizer, scheduler, scaler, train_loader, sampler, val_loader),
        fingerprint=database.fingerprint,
        plan=database.plan.folder.name,
    )


def open_feature_cache(
    config: Config, database: Database, model: SiameseModel, device: torch.device, precision: torch.dtype
) -> FeatureCache:
    model.eval()

    @torch.no_grad()
    def encode(pictures: Tensor) -> Tensor:
        with Functions.autocast(device, precision):
            return model.features(pictures.to(device).contiguous(memory_format=torch.channels_last))

    return FeatureCache.open(database, model, config.data.side, config.backbone.views, encode, precision)


def make_optimizer(model: SiameseModel, config: Config) -> torch.optim.Optimizer:
    """AdamW in four groups: branches and backbone, each with and without weight decay."""
    settings = config.optim
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        in_backbone = name.startswith("backbone.")
        decays = weight.ndim >= 2 and id(weight) not in embeddings
        if not (in_backbone and config.backbone.frozen):
            groups.setdefault((in_backbone, decays), []).append(weight)
    return torch.optim.AdamW(
        [
            {
                "params": weights,
                "lr": settings.backbone_lr if in_backbone else settings.lr,
                "weight_decay": settings.weight_decay if decays else 0.0,
                "backbone": in_backbone,
            }
            for (in_backbone, decays), weights in groups.items()
        ],
        betas=(0.9, 0.98),  # the default 0.999 remembers 1,000 steps, half of all that `scenes` makes
    )


def make_scheduler(
    optimizer: torch.optim.Optimizer, settings: OptimConfig, steps_per_epoch: int, unfreeze_epoch: int | None
) -> LambdaLR:
    """Warm-up and cosine for each group; the backbone's begins when it is unfrozen, which is known from the start."""
    total = settings.epochs * steps_per_epoch

    def schedule(first: int) -> Any:
        warm = max(1, round(settings.warmup * (total - first)))

        def factor(step: int) -> float:
            if step < first:
                return 0.0
            done = step - first
            if done < warm:
                return (done + 1) / warm
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warm) / max(1, total - first - warm))))

        return factor

    first_of = {False: 0, True: (unfreeze_epoch or 0) * steps_per_epoch}
    return LambdaLR(optimizer, [schedule(first_of[group["backbone"]]) for group in optimizer.param_groups])


def train_step(run: Run, batch: Batch) -> Tensor:
    """One update from one batch; returns its loss, still on the device."""
    loss = Functions.backward_in_chunks(
        [(run.encode_pictures, batch.pictures), (run.encode_texts, batch.words)],
        lambda patches, words: run.loss(patches, words, batch),
        run.config.optim.accumulation,
        run.scaler.scale,
    )
    run.scaler.unscale_(run.optimizer)
    clip_grad_norm_(run.model.parameters(), run.config.optim.max_norm)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    with torch.no_grad():  # the weight is held, not its use: above the limit that would have no gradient to return by
        run.model.log_scale.clamp_(max=math.log(run.config.loss.max_logit_scale))
    run.optimizer.zero_grad(set_to_none=True)
    run.scheduler.step()
    return loss


def train_epoch(run: Run, epoch: int) -> dict[str, float]:
    """One pass over the training photographs. FloatingPointError if the loss is no longer a number."""
    run.model.train()
    unfrozen = run.config.backbone.unfreeze_epoch is not None and epoch >= run.config.backbone.unfreeze_epoch
    run.model.backbone.requires_grad_(unfrozen)
    run.train_sampler.epoch = epoch
    total, pairs = torch.zeros((), device=run.device), 0
    bar = tqdm(run.train_loader, desc=f"epoch {epoch + 1}/{run.config.optim.epochs}", unit="batch", leave=False)
    for step, batch in enumerate(bar):
        batch = to_device(batch, run.device)
        total += train_step(run, batch)
        pairs += len(batch.owner)
        if step % 20 == 0 or step + 1 == len(run.train_loader):  # reading the loss makes a GPU wait
            mean = total.item() / (step + 1)
            if not math.isfinite(mean):
                raise FloatingPointError(
                    f"the loss is {mean} in epoch {epoch + 1} by step {step + 1}, rows {batch.rows[:5]}...; the last "
                    "whole epoch is saved. Train again with --overwrite and a lower --optim.lr or --precision float32"
                )
            bar.set_postfix(loss=f"{mean:.3f}", refresh=False)
    return {"loss": total.item() / len(run.train_loader), "pairs": pairs}


def to_device(batch: Batch, device: torch.device) -> Batch:
    batch = batch.to(device)
    if batch.pictures.dtype == torch.uint8:
        return replace(batch, pictures=batch.pictures.contiguous(memory_format=torch.channels_last))
    return batch


@torch.no_grad()
def validate(run: Run) -> dict[str, float]:
    """Loss, threshold and rates on the validation split, with the same hard negatives in every epoch."""
    run.model.eval()
    losses, positive, negative = [], [], []
    for batch in run.val_loader:
        batch = to_device(batch, run.device)
        patches, words = run.encode_pictures(batch.pictures), run.encode_texts(batch.words)
        losses.append(run.loss(patches, words, batch))
        owner = torch.cat([batch.owner, batch.owner[batch.negative_of]])
        scores = run.model.pair_scores(patches[owner], words)
        positive.append(scores[: len(batch.owner)])
        negative.append(scores[len(batch.owner) :])
    true, false = torch.cat(positive).cpu().numpy(), torch.cat(negative).cpu().numpy()
    if not (np.isfinite(true).all() and np.isfinite(false).all()):
        raise FloatingPointError(
            "validation scores are no numbers; train again with --overwrite and a lower --optim.lr"
        )
    threshold = Functions.best_threshold(true, false)
    at = Functions.rates(true, false, threshold)
    return {"loss": torch.stack(losses).mean().item(), "threshold": threshold, **at._asdict()}


def finish_epoch(run: Run, epoch: int, trained: dict[str, float], validated: dict[str, float], seconds: float) -> None:
    """Log, keep the best weights, and save what --resume needs."""
    config = run.config
    row = {
        "epoch": epoch + 1,
        "train_loss": trained["loss"],
        "val_loss": validated["loss"],
        **{name: validated[name] for name in ("balanced_accuracy", "recall", "specificity", "threshold")},
        "learning_rate": run.optimizer.param_groups[0]["lr"],
        "seconds": round(seconds, 2),
        "pairs_per_second": round(trained["pairs"] / seconds, 1),
    }
    better = validated["balanced_accuracy"] > run.best
    run.epoch, run.waited = epoch + 1, 0 if better else run.waited + 1
    if better:
        run.best = validated["balanced_accuracy"]
        rates = {name: validated[name] for name in ("balanced_accuracy", "recall", "specificity")}
        threshold = Functions.Threshold(validated["threshold"], "validation", epoch=epoch + 1, **rates)
        Functions.save_best(config.model_folder, run.model, threshold)
    Functions.append_log(config.plots_folder / "training_log.csv", row)
    Functions.save_state(config.model_folder, epoch + 1, state_of(run))
    tqdm.write(
        f"epoch {epoch + 1:3d}  loss {row['train_loss']:.3f} / {row['val_loss']:.3f}  "
        f"balanced accuracy {row['balanced_accuracy']:.4f}{'*' if better else ' '} "
        f"at {row['threshold']:.3f}  {row['pairs_per_second']:.0f} pairs/s  {seconds:.0f} s"
    )


def state_of(run: Run) -> dict[str, Any]:
    """What a later process needs to go on as if nothing had happened; weights of a frozen backbone are left out."""
    weights = run.model.state_dict()
    if run.config.backbone.frozen:
        weights = {name: value for name, value in weights.items() if not name.startswith("backbone.")}
    return {
        "model": weights,
        "optimizer": run.optimizer.state_dict(),
        "scheduler": run.scheduler.state_dict(),
        "scaler": run.scaler.state_dict(),
        "rng": Functions.rng_state(),
        "progress": {"epoch": run.epoch, "best": run.best, "waited": run.waited},
        "config": to_json(replace(run.config, resume=False, overwrite=False)),
        "database": run.fingerprint,
        "plan": run.plan,
    }


def resume(run: Run) -> None:
    """Go on from the last checkpoint. ValueError if the settings are not those of the run."""
    state = Functions.load_state(run.config.model_folder)
    before, now = state["config"], to_json(replace(run.config, resume=False, overwrite=False))
    if before != now:
        differ = [old.strip(" ,") for old, new in zip(before.splitlines(), now.splitlines()) if old != new]
        raise ValueError(f"resume with the flags that the run began with; it had {'; '.join(differ)}")
    if state["database"] != run.fingerprint:
        raise ValueError(
            f"{run.config.data.folder} was built anew since the run began, and its vocabulary may differ; "
            "train again with --overwrite"
        )
    if state.get("plan") != run.plan:
        raise ValueError(
            "the rules of the hard negatives were changed since the run began; start again with --overwrite"
        )
    run.model.load_state_dict(state["model"], strict=not run.config.backbone.frozen)
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.scaler.load_state_dict(state["scaler"])
    Functions.set_rng_state(state["rng"])
    for name, value in state["progress"].items():
        setattr(run, name, value)
    print(f"resumed after epoch {run.epoch}")


if __name__ == "__main__":
    main()
