"""Train the judge: python Main_train.py [scenes|scenes-small|frozen|finetune] [--section.field VALUE ...]

Reads a database, writes Models/NAME (weights, vocabulary, config, threshold) and Plots/NAME/training_log.csv.
Several devices, or machines: torchrun --nproc-per-node N Main_train.py finetune ...
"""

import contextlib
import math
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from tqdm import tqdm

import Functions
from Architectures import SiameseModel, settle_backbone
from common import devices, storage
from common.command_line import fail, read_command_line
from common.parallel import ALONE, Group, is_loss_of_a_peer
from common.storage import CONFIG, FAILED, PHOTOGRAPHS, POINTER, VOCABULARY, WEIGHTS
from Config import PRESETS, Config, quality, to_json
from DataBase_functions import Batch, Database, EpochSampler, PairDataset, is_loss_of_a_worker, make_loader
from Functions import WholeBatch
from Tokenizer_lib import Tokenizer
from training import checkpoints, throughput
from training.features import FeatureCache
from training.log import LOG, append_log
from training.optim import NaNGuard, WeightAverage, make_optimizer, make_scheduler


@dataclass
class Progress:
    """How far a run has come; with the weights and generators it is all that --resume needs."""

    epoch: int = 0  # completed epochs
    step: int = 0  # completed steps of the current epoch
    loss: Tensor = field(default_factory=lambda: torch.zeros(()))  # sum of the losses of these steps
    pairs: int = 0  # captions in these steps
    pictures: int = 0
    seconds: float = 0.0  # time of these steps
    waiting: float = 0.0  # part of `seconds` spent waiting for the loader
    best: float = -math.inf  # validation result of the best epoch, higher is better; see OptimConfig.keep_by
    best_epoch: int = 0  # epoch of the weights that are kept


@dataclass
class Run:
    """All that a training run holds."""

    config: Config
    device: torch.device
    precision: torch.dtype
    model: SiameseModel
    optimizer: torch.optim.Optimizer
    scheduler: LambdaLR
    scaler: torch.amp.GradScaler
    average: WeightAverage
    guard: NaNGuard
    train_loader: DataLoader
    train_sampler: EpochSampler
    val_loader: DataLoader
    database: Database
    group: Group = ALONE
    progress: Progress = field(default_factory=Progress)
    saved_at: float = field(default_factory=time.monotonic)
    stop: int = 0  # the signal that asked for it

    def encode_pictures(self, pictures: Tensor) -> Tensor:
        """Bytes (n, 3, side, side) or features (n, C, h, w) -> vectors (n, V, D) in float32."""
        with devices.autocast(self.device, self.precision):
            return self.model.encode_pictures(pictures)

    def encode_texts(self, words: Tensor) -> Tensor:
        """Word indices (t, L) -> vectors (t, V, D) in float32."""
        with devices.autocast(self.device, self.precision):
            return self.model.encode_texts(words)

    def loss(self, pictures: Tensor, texts: Tensor, batch: Batch, whole: WholeBatch | None = None) -> Tensor:
        """In float32: bfloat16 keeps 2 to 3 digits of a cosine, and a logit is up to 100 times as large."""
        return Functions.total_loss(
            self.model, pictures, texts, batch.texts, self.config.loss, self.config.negatives.in_batch, whole
        )


class Stopped(Exception):
    """A signal asked for the end of the run, and all is saved."""


def main(args: Sequence[str] | None = None) -> None:
    run = start(read_command_line(PRESETS, __doc__ or "", args))
    with one_line_for_each_error(run), stop_signals(run):
        train(run)
    run.group.leave()
    keep_by = run.config.optim.keep_by.replace("_", " ")
    tell(
        run,
        f"kept are the weights of epoch {run.progress.best_epoch}, whose validation {keep_by} is the best; "
        f"next: python Evaluate_test.py --model {run.config.model_folder}",
    )


def start(config: Config) -> Run:
    """A run at its first step, or where --resume finds it; a line and exit status 2 if that cannot be."""
    group = ALONE
    try:
        config = settle_backbone(config)
        group = Group.join(devices.choose_device(config.device))
        build_missing_scenes(config, group)
        run = build_run(config, group)
        if config.resume:
            resume(run)
    except (ValueError, OSError) as error:
        end(group, str(error))
    except KeyboardInterrupt:
        end(group, "stopped before the first step; the same command starts again", code=130)
    return run


@contextlib.contextmanager
def one_line_for_each_error(run: Run) -> Iterator[None]:
    """Turn every error that a user can fix into one line and an exit status."""
    go_on = "go on with the same command and --resume"
    try:
        yield
    except Stopped:
        name = signal.Signals(run.stop).name
        end(run.group, f"stopped by {name} {where(run)}; all is saved, {go_on}", code=128 + run.stop)
    except FloatingPointError as error:
        end(run.group, str(error), code=1)
    except RuntimeError as error:
        reason = str(error).splitlines()[0] if str(error) else ""
        if is_loss_of_a_worker(error):
            fail(f"{reason.rstrip('. ')}; {go_on}", code=1)
        if is_loss_of_a_peer(error):
            fail(f"process {run.group.rank} lost another one ({reason}); {go_on}", code=1)
        raise
    except (ValueError, OSError) as error:
        fail(f"{error}; what was saved last stays valid, go on with --resume")


def end(group: Group, message: str, code: int = 2) -> NoReturn:
    """One line and an exit status; if one of several processes fails, its rank is printed."""
    fail(message if group.writes else f"process {group.rank}: {message}", code)


def train(run: Run) -> None:
    """Epochs until the last one, or until validation no longer gets better."""
    while run.progress.epoch < run.config.optim.epochs:
        waited = run.progress.epoch - run.progress.best_epoch
        if waited >= run.config.optim.patience:
            tell(run, f"no better validation score for {waited} epochs: stopped early")
            break
        train_epoch(run)
        loss, threshold = validate(run)
        finish_epoch(run, loss, threshold)


def tell(run: Run, message: str) -> None:
    if run.group.writes:
        tqdm.write(message)


def where(run: Run) -> str:
    return f"in epoch {run.progress.epoch + 1} after step {run.progress.step} of {len(run.train_loader)}"


def build_missing_scenes(config: Config, group: Group) -> None:
    """Draw the embedded default database if it is asked for and not there yet."""
    if group.writes and config.data.name == "scenes" and not config.data.folder.exists():
        script = Path(__file__).with_name("Database_create.py")
        done = subprocess.run([sys.executable, script, "--root", config.data.root], check=False)
        if done.returncode:
            raise SystemExit(done.returncode)
    group.merge(None)  # the others wait until it is there


def build_run(config: Config, group: Group = ALONE) -> Run:
    """Everything before the first step. ValueError or OSError says what is wrong and the command that fixes it."""
    refuse_what_cannot_work(config, group)
    device = devices.choose_device(config.device)
    precision = devices.choose_precision(config.precision, device)
    devices.seed_everything(config.seed)
    database = Database(config.data.folder)
    rows = {split: database.rows(split) for split in ("train", "validation")}  # fails early if a split is empty
    tokenizer = Tokenizer.build(database.word_counts, config.data.min_count)
    model = SiameseModel(len(tokenizer), config.backbone, config.model, config.loss.temperature, config.data.side)
    model.backbone.load(config.backbone.weights)
    model.to(device)
    model.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    features = open_feature_cache(config, database, model, device, precision) if config.backbone.frozen else None
    train_loader, train_sampler, val_loader = make_loaders(config, database, tokenizer, features, rows, device, group)

    optimizer = make_optimizer(model, config.optim, backbone_trained=not config.backbone.frozen)
    trained = [weight for one in optimizer.param_groups for weight in one["params"]]
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    # A CPU has nothing to wait for, so it looks after each step. On a GPU a look costs the overlap of host and device;
    # with float16 it is needed all the same, see NaNGuard.
    look_every = 1 if device.type == "cpu" or scaler.is_enabled() else 20
    if config.compile:
        model.backbone.compile()
    if group.writes:
        prepare_folders(config, tokenizer, trained_on=sorted({database.groups[row] for row in rows["train"]}))
    run = Run(
        config=config,
        device=device,
        precision=precision,
        model=model,
        optimizer=optimizer,
        scheduler=make_scheduler(optimizer, config.optim, len(train_loader), config.backbone.unfreeze_epoch),
        scaler=scaler,
        average=WeightAverage(trained, config.optim.ema),
        guard=NaNGuard(optimizer, device, look_every),
        train_loader=train_loader,
        train_sampler=train_sampler,
        val_loader=val_loader,
        database=database,
        group=group,
    )
    if group.rank:
        torch.manual_seed(config.seed + group.rank)  # from here on only dropout draws, and each process its own
    weights = sum(p.numel() for p in model.parameters())
    tell(
        run,
        f"{config.name}: {weights / 1e6:.1f} M weights, {len(tokenizer)} words, {len(rows['train'])} training and "
        f"{len(rows['validation'])} validation photographs; {devices.hardware(device)}, {precision}"
        + (f", {group.size} processes" if group.size > 1 else ""),
    )
    return run


def earlier_results(config: Config) -> list[Path]:
    """What an earlier run of this name has left, if anything."""
    return [path for name in (POINTER, WEIGHTS) if (path := config.model_folder / name).exists()]


def refuse_what_cannot_work(config: Config, group: Group) -> None:
    """ValueError before any work: an earlier run of this name, or more processes than pictures in a batch."""
    if earlier_results(config) and not (config.resume or config.overwrite):
        raise ValueError(f"{config.model_folder} holds an earlier run; add --resume, --overwrite or --name OTHER")
    if config.data.batch_pictures < group.size:
        raise ValueError(f"--data.batch-pictures {config.data.batch_pictures} is less than {group.size} processes")


def make_loaders(
    config: Config,
    database: Database,
    tokenizer: Tokenizer,
    features: FeatureCache | None,
    rows: Mapping[str, Sequence[int]],
    device: torch.device,
    group: Group,
) -> tuple[DataLoader, EpochSampler, DataLoader]:
    """Training loader and its sampler, validation loader. Processes share training batches, and take validation
    batches in turn."""
    data, seed = config.data, config.seed
    one_swap = replace(config.negatives, most_swaps=1)
    train_set = PairDataset(
        database, tokenizer, data, config.negatives, config.augment, seed, features, part=group.part
    )
    val_set = PairDataset(database, tokenizer, data, one_swap, None, seed, features)
    train_loader, sampler = make_loader(train_set, rows["train"], seed, shuffle=True, device=device)
    val_loader, _ = make_loader(val_set, rows["validation"], seed, shuffle=False, device=device, part=group.part)
    return train_loader, sampler, val_loader


def prepare_folders(config: Config, tokenizer: Tokenizer, trained_on: Sequence[str]) -> None:
    """Remove what an earlier run left, and write what does not change during training.

    trained_on: photographs; an evaluation refuses to count them, also where the database is not at hand.
    """
    folder = config.model_folder
    if not config.resume:
        log = config.plots_folder / LOG
        stale = [path for pattern in ("last*", "failed*", "*.json") for path in folder.glob(pattern)]
        for old in (*stale, *earlier_results(config), log):
            old.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        config.plots_folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).write_text(to_json(replace(config, overwrite=False)), encoding="utf-8")
        tokenizer.save(folder / VOCABULARY)
    listed = folder / PHOTOGRAPHS
    if folder.exists() and not (config.resume and listed.exists()):
        listed.write_text("\n".join(trained_on) + "\n", encoding="utf-8")


def open_feature_cache(
    config: Config, database: Database, model: SiameseModel, device: torch.device, precision: torch.dtype
) -> FeatureCache:
    """The cached features of the frozen backbone; computed now if they are missing."""
    model.eval()

    @torch.no_grad()
    def encode(pictures: Tensor) -> Tensor:
        with devices.autocast(device, precision):
            return model.features(pictures.to(device).contiguous(memory_format=torch.channels_last))

    return FeatureCache.open(
        database, model, config.data.side, config.backbone.views, encode, precision, crop=config.backbone.view_crop
    )


def train_step(run: Run, batch: Batch) -> Tensor:
    """One update from one batch: encode, gather, loss, backward, clip, update.

    Returns this process's share of the loss, still on the device; the shares add up to the loss of the batch.
    """
    batch = to_device(batch, run.device)
    loss = Functions.backward_in_chunks(
        [(run.encode_pictures, batch.pictures), (run.encode_texts, batch.own_words)],
        lambda pictures, texts: run.loss(pictures, texts, batch, gather(run.group, batch, pictures, texts)),
        run.config.optim.accumulation,
        run.scaler.scale,
        first_pass=lambda: Functions.statistics_kept(run.model),
    )
    run.group.sum_gradients(run.model.parameters())
    run.group.average(Functions.running_statistics(run.model))
    run.scaler.unscale_(run.optimizer)
    norm = clip_grad_norm_(run.model.parameters(), run.config.optim.max_norm)
    # With float16 an infinite gradient is nothing unusual: the scaler skips that step and lowers its scale.
    run.guard.watch(run.progress.step, batch.rows, *([loss] if run.scaler.is_enabled() else [loss, norm]))
    run.scaler.step(run.optimizer)
    run.scaler.update()
    with torch.no_grad():  # clamp the weight, not its use: beyond the limit its gradient would be 0, and it stuck there
        run.model.log_scale.clamp_(max=math.log(run.config.loss.max_logit_scale))
    run.average.update()
    run.optimizer.zero_grad(set_to_none=True)
    run.scheduler.step()
    return loss


def gather(group: Group, batch: Batch, pictures: Tensor, texts: Tensor) -> WholeBatch | None:
    """The vectors of all pictures (N, V, D) and captions (T, V, D), if this process has only a share of them.

    Hard negatives are not gathered: each is compared with its own picture alone.
    """
    if group.size == 1:
        return None
    sizes_of_pictures, sizes_of_captions, _ = zip(*(share.sizes for share in batch.shares))
    captions = texts[: sizes_of_captions[group.rank]]
    return WholeBatch(group.gather(pictures, sizes_of_pictures), group.gather(captions, sizes_of_captions), batch.share)


def train_epoch(run: Run) -> None:
    """One pass over the training photographs, or the rest of an interrupted one; its sums are in run.progress.

    FloatingPointError for a NaN or infinite loss, Stopped if a signal came.
    """
    now, unfreeze = run.progress, run.config.backbone.unfreeze_epoch
    run.model.train()
    run.model.backbone.requires_grad_(unfreeze is not None and now.epoch >= unfreeze)
    run.train_sampler.epoch, run.train_sampler.start = now.epoch, now.step
    now.loss = now.loss.to(run.device)
    with progress_bar(run, f"epoch {now.epoch + 1}/{run.config.optim.epochs}") as bar:
        began = time.perf_counter()
        for batch in run.train_loader:
            waited = time.perf_counter() - began
            now.loss += train_step(run, batch)
            now.step += 1
            now.pairs += len(batch.owner)
            now.pictures += len(batch.rows)
            now.waiting += waited
            now.seconds += time.perf_counter() - began
            began = time.perf_counter()
            bar.update()
            between_steps(run)


def progress_bar(run: Run, title: str) -> tqdm:
    hidden = not run.group.writes
    return tqdm(
        total=len(run.train_loader), initial=run.progress.step, desc=title, unit="batch", leave=False, disable=hidden
    )


def between_steps(run: Run) -> None:
    """Stop at a NaN or infinite loss or at a signal; save if the last checkpoint is old."""
    if run.progress.step % run.guard.every and run.progress.step < len(run.train_loader):
        return
    if (bad := run.guard.bad_step()) is not None:
        stop_at_nan(run, *bad)
    due = time.monotonic() - run.saved_at > 60 * run.config.optim.save_minutes
    # All processes leave at the same step, or the others would wait for one that is gone.
    stops, dues = zip(*run.group.merge((run.stop, due)))
    run.stop = max(stops)
    if run.stop or dues[0]:
        save(run)
    if run.stop:
        raise Stopped


def stop_at_nan(run: Run, step: int, rows: tuple[int, ...]) -> None:
    """The optimizer has changed nothing since that step, so the weights are those before it."""
    names = [run.database.ids[row] for row in rows]
    path = run.config.model_folder / FAILED
    state = state_of(run) | {"step": step, "photographs": names}  # all processes give their part
    if run.group.writes:
        storage.write_atomically(path, lambda p: checkpoints.save_torch(state, p))
    some = ", ".join(names[:3])
    raise FloatingPointError(
        f"the loss or its gradient is NaN or infinite in epoch {run.progress.epoch + 1}, step {step + 1}, with the "
        f"{len(names)} photographs {some} ...; {path} holds the weights before it and the ids of all photographs. "
        "Train again with --overwrite and a lower --optim.lr or --precision float32"
    )


def to_device(batch: Batch, device: torch.device) -> Batch:
    batch = batch.to(device)
    if batch.pictures.dtype == torch.uint8:
        return replace(batch, pictures=batch.pictures.contiguous(memory_format=torch.channels_last))
    return batch


@torch.no_grad()
def validate(run: Run) -> tuple[float, checkpoints.Threshold]:
    """Loss, and the best threshold with its rates, on the validation split.

    Uses the same hard negatives in every epoch, and the averaged weights if there is an average. Processes take
    batches in turn.
    """
    run.model.eval()
    losses, positive, negative = [], [], []
    with run.average.in_place():
        for batch in run.val_loader:
            if run.stop and run.group.size == 1:  # several would have to agree on a batch
                break
            batch = to_device(batch, run.device)
            patches, words = run.encode_pictures(batch.pictures), run.encode_texts(batch.words)
            losses.append(run.loss(patches, words, batch).view(1))
            owner = torch.cat([batch.owner, batch.owner[batch.negative_of]])
            scores = run.model.pair_scores(patches[owner], words)
            positive.append(scores[: len(batch.owner)])
            negative.append(scores[len(batch.owner) :])
    if run.stop and run.group.size == 1:  # here, since a checkpoint holds the weights, not their average
        save(run)
        raise Stopped
    own = [torch.cat([torch.zeros(0), *(part.cpu() for part in parts)]) for parts in (losses, positive, negative)]
    loss, true, false = (torch.cat(parts).numpy() for parts in zip(*run.group.merge(own)))
    if not (np.isfinite(true).all() and np.isfinite(false).all()):
        raise FloatingPointError(
            "validation scores are NaN or infinite; train again with --overwrite and a lower --optim.lr"
        )
    return float(loss.mean()), checkpoints.Threshold.choose(true, false, epoch=run.progress.epoch + 1)


def finish_epoch(run: Run, loss: float, threshold: checkpoints.Threshold) -> None:
    """Log, keep the best weights, and save what --resume needs."""
    config, now = run.config, run.progress
    epoch = threshold.epoch
    row = {
        "epoch": epoch,
        "train_loss": sum(run.group.merge(now.loss.item())) / max(1, now.step),
        "val_loss": loss,
        **{name: getattr(threshold, name) for name in ("balanced_accuracy", "recall", "specificity", "threshold")},
        "learning_rate": run.optimizer.param_groups[0]["lr"],
        "seconds": round(now.seconds, 2),
        "pairs_per_second": round(now.pairs / max(1e-9, now.seconds), 1),
        "waiting": round(now.waiting / max(1e-9, now.seconds), 4),
    }
    reached = quality(config.optim.keep_by, loss, threshold.balanced_accuracy)
    better = reached > now.best
    best, best_epoch = (reached, epoch) if better else (now.best, now.best_epoch)
    run.progress = Progress(epoch=epoch, best=best, best_epoch=best_epoch)
    if run.group.writes:
        if better:
            with run.average.in_place():
                checkpoints.save_best(config.model_folder, run.model, threshold)
        append_log(config.plots_folder / LOG, row)
    save(run)
    tell(
        run,
        f"epoch {epoch:3d}{'*' if better else ' '} loss {row['train_loss']:.3f} / {row['val_loss']:.3f}  "
        f"balanced accuracy {row['balanced_accuracy']:.4f} at {row['threshold']:.3f}  "
        f"{row['pairs_per_second']:.0f} pairs/s  {now.seconds:.0f} s, "
        f"{row['waiting']:.1%} waiting for data{throughput_of(run, now)}",
    )


def throughput_of(run: Run, now: Progress) -> str:
    """On a GPU that trains its backbone or runs it: pictures a second and MFU."""
    if run.config.backbone.frozen:
        return ""
    share = throughput.utilisation(
        run.model,
        run.config.data.side,
        rate := now.pictures / max(1e-9, now.seconds),
        trained=next(run.model.backbone.parameters()).requires_grad,
        devices=run.group.size,
    )
    return "" if share is None else f", {rate:.0f} pictures/s, MFU {share:.1%}"


@contextlib.contextmanager
def stop_signals(run: Run) -> Iterator[None]:
    """SIGINT and SIGTERM let the step end, save and stop; the same signal once more ends the process at once."""

    def note(number: int, frame: Any) -> None:
        run.stop = number
        signal.signal(number, earlier[number])

    earlier = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in earlier:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def save(run: Run) -> None:
    """A checkpoint; the generators of all processes go into it."""
    state = state_of(run)
    if run.group.writes:
        checkpoints.save_state(run.config.model_folder, run.progress.epoch, run.progress.step, state)
    run.saved_at = time.monotonic()


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
        "average": run.average.state_dict(),
        "rng": run.group.merge(devices.rng_state()),
        "loss": run.group.merge(run.progress.loss.cpu()),
        "progress": {name: value for name, value in vars(run.progress).items() if name != "loss"},
        "config": to_json(replace(run.config, resume=False, overwrite=False)),
        "database": run.database.fingerprint,
        "plan": run.database.plan.folder.name,
    }


def resume(run: Run) -> None:
    """Go on from the last checkpoint. ValueError if the settings are not those of the run."""
    state = checkpoints.load_state(run.config.model_folder)
    before, now = state["config"], to_json(replace(run.config, resume=False, overwrite=False))
    if before != now:
        differ = [old.strip(" ,") for old, new in zip(before.splitlines(), now.splitlines()) if old != new]
        raise ValueError(f"resume with the flags that the run began with; it had {'; '.join(differ)}")
    if state["database"] != run.database.fingerprint:
        raise ValueError(
            f"{run.config.data.folder} was rebuilt since the run began, and its vocabulary may differ; "
            "train again with --overwrite"
        )
    if state["plan"] != run.database.plan.folder.name:
        raise ValueError(
            "the rules of the hard negatives were changed since the run began; start again with --overwrite"
        )
    if len(state["rng"]) != run.group.size:
        raise ValueError(
            f"the run had {len(state['rng'])} processes, now there are {run.group.size}; resume with as many"
        )
    run.model.load_state_dict(state["model"], strict=not run.config.backbone.frozen)
    run.optimizer.load_state_dict(state["optimizer"])
    run.scheduler.load_state_dict(state["scheduler"])
    run.scaler.load_state_dict(state["scaler"])
    run.average.load_state_dict(state["average"])
    devices.set_rng_state(state["rng"][run.group.rank])
    run.progress = Progress(**state["progress"], loss=state["loss"][run.group.rank])
    tell(run, f"resumed {where(run)}" if run.progress.step else f"resumed after epoch {run.progress.epoch}")


if __name__ == "__main__":
    main()
