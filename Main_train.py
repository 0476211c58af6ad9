"""Train the judge: python Main_train.py [PRESET] [--section.field VALUE ...]

Reads a database and writes Models/NAME (weights, vocabulary, config, threshold) and Plots/NAME/training_log.csv.

python Main_train.py PRESET --help lists all settings, with their values in that preset.

Several devices or machines: torchrun --nproc-per-node N Main_train.py finetune

After each epoch a quick check measures balanced accuracy on some validation captions, each with hard negatives drawn
for it. It serves to choose the epoch whose weights are kept. Evaluate_test.py measures all captions.
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
from common.storage import FAILED, WEIGHTS, WORLD
from common.world import save_world
from Config import PRESETS, Config, flags_of, quality, to_json
from DataBase_functions import Batch, Database, EpochSampler, PairDataset, make_loader
from evaluation.world import make_world
from Functions import WholeBatch
from sources.items import ENTAILED, NEUTRAL
from Tokenizer_lib import Tokenizer
from training import checkpoints, folders, restarts, throughput
from training.features import FeatureCache
from training.loaders import LostWorker, end_workers, watch_workers
from training.log import LOG, RATES, append_log, describe_epoch
from training.optim import NaNGuard, WeightAverage, make_optimizer, make_scheduler
from training.pace import EpochPace

FEW_PICTURES = "few pictures: the figures in docs/RESULTS.md took about 6,000; expect less"


@dataclass
class Progress:
    """How far a run has come. --resume needs this, the weights and the states of the random generators."""

    epoch: int = 0  # completed epochs
    step: int = 0  # completed steps of the current epoch
    loss: Tensor = field(default_factory=lambda: torch.zeros(()))  # sum of the losses of these steps
    captions: int = 0  # in these steps, as are the next three fields
    pictures: int = 0
    seconds: float = 0.0
    waiting: float = 0.0  # part of `seconds` in which the loader had no batch ready
    best: float = -math.inf  # Config.quality of the best epoch, higher is better
    best_epoch: int = 0  # the epoch whose weights are kept


@dataclass
class Run:
    """Everything that a training run uses: model, optimizer, data, and how far it has come."""

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
    tokenizer: Tokenizer
    pace: EpochPace
    group: Group = ALONE
    progress: Progress = field(default_factory=Progress)
    saved_at: float = field(default_factory=time.monotonic)
    stop: int = 0  # number of the signal that asked the run to stop; 0 without one

    @property
    def tag_epochs(self) -> int:
        """Epochs that train only the image branch; 0 without a head, a tag loss, or boxes to predict words from."""
        optim = self.config.optim
        can_tag = self.model.has_head and self.config.loss.tag > 0 and self.database.has_regions
        return min(optim.tag_epochs, optim.epochs - 1) if can_tag else 0

    @property
    def only_tags(self) -> bool:
        """Whether the current epoch trains only the image branch. Such epochs have no quick check: no text is read."""
        return self.progress.epoch < self.tag_epochs

    def encode_pictures(self, pictures: Tensor) -> Tensor:
        """Bytes (n, 3, side, side) or features (n, C, h, w) -> vectors (n, V, D) in float32."""
        with devices.autocast(self.device, self.precision):
            return self.model.encode_pictures(pictures)

    def encode_texts(self, words: Tensor) -> Tensor:
        """Word indices (t, L) -> vectors (t, V, D) in float32."""
        with devices.autocast(self.device, self.precision):
            return self.model.encode_texts(words)

    def loss(self, pictures: Tensor, texts: Tensor, batch: Batch, whole: WholeBatch | None = None) -> Tensor:
        """Computed in float32: bfloat16 keeps 2 to 3 digits of a cosine, and a logit is up to 100 times as large."""
        return Functions.total_loss(
            self.model, pictures, texts, batch.texts, self.config.loss, self.config.negatives.in_batch, whole
        )


class Stopped(Exception):
    """The run was stopped by a signal, after a checkpoint was saved."""


def main(args: Sequence[str] | None = None) -> None:
    with contextlib.ExitStack() as locks:
        run = start(read_command_line(PRESETS, __doc__ or "", args), locks)
        with one_line_for_each_error(run), stop_signals(run), watch_workers(run.train_loader, run.val_loader):
            train(run)
            end_workers(run.train_loader, run.val_loader)
            write_world(run)
            restarts.mark_done(run.config, run.group)
    run.group.leave()
    keep_by = run.config.optim.keep_by.replace("_", " ")
    print_line(run, f"kept the weights of epoch {run.progress.best_epoch}, which has the best validation {keep_by}")
    print_line(run, f"next: python Evaluate_test.py --model {run.config.model_folder}")


def start(config: Config, locks: contextlib.ExitStack) -> Run:
    """Prepare a new run, or load the last checkpoint with --resume. Errors are printed in one line, exit status 2.

    locks: gets those of the folders.
    """
    group = ALONE
    try:
        config = settle_backbone(config)
        group = Group.join(devices.choose_device(config.device))
        if group.writes:
            locks.enter_context(folders.locked(config))
        config = restarts.settle_restart(config, group)
        build_missing_scenes(config, group)
        run = build_run(config, group)
        if config.resume:
            resume(run)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        end(group, str(error))
    except RuntimeError as error:
        if not is_loss_of_a_peer(error):
            raise
        end(group, "another process has ended before the first step; its message says why")
    except KeyboardInterrupt:
        end(group, "stopped before the first step; run the same command to start again", code=130)
    return run


@contextlib.contextmanager
def one_line_for_each_error(run: Run) -> Iterator[None]:
    """Turn every error that a user can fix into one line and an exit status."""
    try:
        yield
    except Stopped:
        name = signal.Signals(run.stop).name
        saved = f"everything is saved, {folders.way_on(run.config)}"
        end(run.group, f"stopped by {name} {where(run)}; {saved}", code=128 + run.stop)
    except FloatingPointError as error:
        end(run.group, str(error), code=1)
    except LostWorker as loss:
        fail(f"{str(loss).splitlines()[0].rstrip('. ')}; {folders.way_on(run.config)}", code=1)
    except RuntimeError as error:
        if is_loss_of_a_peer(error):
            reason = next(iter(str(error).splitlines()), "")
            lost = f"lost the connection to another process ({reason})"
            end(run.group, f"{lost}; {folders.way_on(run.config)}", code=1)
        raise
    except (ValueError, OSError) as error:
        valid = "the last checkpoint is still valid, go on with --resume"
        fail(f"{error}; {valid if folders.can_resume(run.config) else folders.way_on(run.config)}")


def end(group: Group, message: str, code: int = 2) -> NoReturn:
    """Print one line and exit. A process of rank 1 or higher prints its rank first."""
    fail(message if group.writes else f"process {group.rank}: {message}", code)


def train(run: Run) -> None:
    """Run the remaining epochs; stop early after `patience` epochs without a better validation result."""
    while run.progress.epoch < run.config.optim.epochs:
        since_best = run.progress.epoch - max(run.progress.best_epoch, run.tag_epochs)
        if since_best >= run.config.optim.patience:
            print_line(run, f"no better validation score for {since_best} epochs: stopped early")
            break
        began, whole = time.perf_counter(), run.progress.step == 0
        train_epoch(run)
        finish_epoch(run, None if run.only_tags else validate(run))
        if whole:
            print_line(run, run.pace.after_epoch(time.perf_counter() - began, run.progress.epoch))


def write_world(run: Run) -> None:
    """Write what the kept weights have seen, see common/world.py."""
    folder = run.config.model_folder
    if run.group.writes and (folder / WEIGHTS).is_file() and not (folder / WORLD).is_file():
        save_world(folder, make_world(checkpoints.load_model(folder, run.device), run.database))


def print_line(run: Run, message: str) -> None:
    """Print a line above the progress bar, in one process only. An empty message prints nothing."""
    if message and run.group.writes:
        tqdm.write(message)


def where(run: Run) -> str:
    return f"in epoch {run.progress.epoch + 1} after step {run.progress.step} of {len(run.train_loader)}"


def build_missing_scenes(config: Config, group: Group) -> None:
    """Build the default database of drawn scenes if the run uses it and it does not exist."""
    if group.writes and config.data.name == "scenes" and not config.data.folder.exists():
        script = Path(__file__).with_name("Database_create.py")
        done = subprocess.run([sys.executable, script, "--root", config.data.root], check=False)
        if done.returncode:
            raise SystemExit(done.returncode)
    group.merge(None)  # the other processes wait here


def build_run(config: Config, group: Group = ALONE) -> Run:
    """Open the data and make the model and the optimizer.

    ValueError or OSError says what is wrong, and the command that fixes it.
    """
    refuse_what_cannot_work(config, group)
    device = devices.choose_device(config.device)
    precision = devices.choose_precision(config.precision, device)
    devices.seed_everything(config.seed)
    database = Database(config.data.folder)
    rows = {split: database.rows(split) for split in ("train", "validation")}  # fails early if a split is empty
    database.open_plan(config)
    tokenizer = Tokenizer.build(database.word_counts, config.data.min_count)
    model = SiameseModel(len(tokenizer), config.backbone, config.model, config.loss.temperature, config.data.side)
    model.backbone.load(config.backbone.weights)
    model.to(device)
    model.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    features = FeatureCache.of_training(config, database, model, precision) if config.backbone.frozen else None
    train_loader, train_sampler, val_loader = make_loaders(config, database, tokenizer, features, rows, device, group)

    optimizer = make_optimizer(model, config.optim, backbone_trained=not config.backbone.frozen)
    trained = [weight for one in optimizer.param_groups for weight in one["params"]]
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    # Reading the NaN guard's flag makes the host wait for a GPU, so it is read every 20 steps; but see NaNGuard.
    check_every = 1 if device.type == "cpu" or scaler.is_enabled() else 20
    if config.compile:
        model.backbone.compile()
    if group.writes:
        folders.prepare(config, tokenizer, trained_on=sorted({database.groups[row] for row in rows["train"]}))
    run = Run(
        config=config,
        device=device,
        precision=precision,
        model=model,
        optimizer=optimizer,
        scheduler=make_scheduler(optimizer, config.optim, len(train_loader), config.backbone.unfreeze_epoch),
        scaler=scaler,
        average=WeightAverage(trained, config.optim.ema),
        guard=NaNGuard(optimizer, device, check_every),
        train_loader=train_loader,
        train_sampler=train_sampler,
        val_loader=val_loader,
        database=database,
        tokenizer=tokenizer,
        pace=EpochPace(config.optim.epochs, len(train_loader)),
        group=group,
    )
    if group.rank:
        torch.manual_seed(config.seed + group.rank)  # only dropout draws from it, and each process needs other masks
    weights = sum(p.numel() for p in model.parameters())
    processes = f", {group.size} processes" if group.size > 1 else ""
    some = f"{len(rows['train']):,}"
    few = f"\n{FEW_PICTURES}" if len(rows["train"]) < 1000 else ""
    print_line(
        run,
        f"{config.name}: {weights / 1e6:.1f} M weights, {len(tokenizer):,} words; pictures: "
        f"{some} to train on, {len(rows['validation']):,} for validation{few}\n"
        f"on {devices.hardware(device)}, {str(precision).removeprefix('torch.')}{processes}",
    )
    return run


def refuse_what_cannot_work(config: Config, group: Group) -> None:
    """ValueError before any work: results of an earlier run, or more processes than pictures in a batch."""
    folders.refuse_earlier_run(config)
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
    """Training loader, its sampler, validation loader.

    If there are several processes, they divide each training batch, and each validation batch is computed by one.
    """
    data, seed = config.data, config.seed
    as_evaluated = config.negatives.as_evaluated
    unused = {NEUTRAL} if config.model.head == "none" else set()  # only a head learns from neutral texts
    train_set = PairDataset(
        database, tokenizer, data, config.negatives, config.augment, seed, features, group.part, unused
    )
    whole = replace(data, parts=0.0)
    val_set = PairDataset(database, tokenizer, whole, as_evaluated, None, seed, features, without={ENTAILED})
    folders.check_negatives(val_set, rows["validation"])
    train_loader, sampler = make_loader(train_set, rows["train"], seed, shuffle=True, device=device)
    val_loader, _ = make_loader(val_set, rows["validation"], seed, shuffle=False, device=device, part=group.part)
    return train_loader, sampler, val_loader


def train_step(run: Run, batch: Batch) -> Tensor:
    """One update from one batch: encode, gather, loss, backward, clip, update.

    Returns the loss of this process's share, still on the device; the shares add up to the loss of the batch.
    """
    batch = to_device(batch, run.device)
    encoders = [(run.encode_pictures, batch.pictures), (run.encode_texts, batch.own_words)]

    def loss_of(pictures: Tensor, texts: Tensor) -> Tensor:
        return run.loss(pictures, texts, batch, gather(run.group, batch, pictures, texts))

    def loss_of_tags(pictures: Tensor) -> Tensor:
        return Functions.tag_loss(run.model, pictures, batch.tags)

    loss = Functions.backward_in_chunks(
        encoders[:1] if run.only_tags else encoders,
        loss_of_tags if run.only_tags else loss_of,
        run.config.optim.accumulation,
        run.scaler.scale,
        first_pass=lambda: Functions.statistics_kept(run.model),
    )
    run.group.sum_gradients(run.model.parameters())
    run.group.average(Functions.running_statistics(run.model))
    run.scaler.unscale_(run.optimizer)
    norm = clip_grad_norm_(run.model.parameters(), run.config.optim.max_norm)
    # With float16 infinite gradients are normal: the scaler skips that step and lowers its scale.
    run.guard.watch(run.progress.step, batch.rows, *([loss] if run.scaler.is_enabled() else [loss, norm]))
    run.scaler.step(run.optimizer)
    run.scaler.update()
    with torch.no_grad():  # clamps the weight itself: a clamp in the forward pass would have gradient 0 at the limit
        run.model.log_scale.clamp_(max=math.log(run.config.loss.max_logit_scale))
    run.average.update()
    run.optimizer.zero_grad(set_to_none=True)
    run.scheduler.step()
    return loss


def gather(group: Group, batch: Batch, pictures: Tensor, texts: Tensor) -> WholeBatch | None:
    """The vectors of all pictures (N, V, D) and captions (T, V, D) of the batch; None for a single process.

    Hard negatives are not gathered: each is compared only with its own picture.
    """
    if group.size == 1:
        return None
    sizes_of_pictures, sizes_of_captions, _ = zip(*(share.sizes for share in batch.shares))
    captions = texts[: sizes_of_captions[group.rank]]
    return WholeBatch(group.gather(pictures, sizes_of_pictures), group.gather(captions, sizes_of_captions), batch.share)


def train_epoch(run: Run) -> None:
    """One epoch, or the rest of an interrupted one. Counts and sums are in run.progress.

    FloatingPointError for a NaN or infinite loss, Stopped after a signal.
    """
    now, unfreeze = run.progress, run.config.backbone.unfreeze_epoch
    if now.epoch in (unfreeze, run.tag_epochs):  # steps take longer from here on
        run.pace.restart()
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
            now.captions += len(batch.owner)
            now.pictures += len(batch.rows)
            now.waiting += waited
            seconds = time.perf_counter() - began
            now.seconds += seconds
            began = time.perf_counter()
            bar.update()
            print_line(run, run.pace.after_step(seconds, now.epoch, now.step))
            between_steps(run)


def progress_bar(run: Run, title: str) -> tqdm:
    count, hidden = len(run.train_loader), not run.group.writes
    return tqdm(total=count, initial=run.progress.step, desc=title, unit="batch", leave=False, disable=hidden)


def between_steps(run: Run) -> None:
    """Stop at a NaN or infinite loss or at a signal; save if the last checkpoint is old."""
    if run.progress.step % run.guard.every and run.progress.step < len(run.train_loader):
        return
    if (bad := run.guard.bad_step()) is not None:
        stop_at_nan(run, *bad)
    due = time.monotonic() - run.saved_at > 60 * run.config.optim.save_minutes
    # All processes must stop at the same step: the others would wait for one that has stopped.
    stops, dues = zip(*run.group.merge((run.stop, due)))
    stop = max(stops)  # not yet `run.stop`: a signal during the merge is kept there for the next step
    if stop or dues[0]:
        save(run)
    if stop:
        run.stop = stop
        raise Stopped


def stop_at_nan(run: Run, step: int, rows: tuple[int, ...]) -> None:
    """Save the weights and the batch, and raise FloatingPointError. The weights are those before the bad step."""
    names = [run.database.ids[row] for row in rows]
    path = run.config.model_folder / FAILED
    state = state_of(run) | {"step": step, "photographs": names}  # needs all processes
    if run.group.writes:
        storage.write_atomically(path, lambda p: checkpoints.save_torch(state, p))
    some = ", ".join(names[:3])
    raise FloatingPointError(
        f"the loss or its gradient is NaN or infinite in epoch {run.progress.epoch + 1}, step {step + 1}, with the "
        f"{len(names)} photographs {some} ...; {path} has the weights before that step and the ids of the photographs. "
        "Train again with --overwrite and a lower --optim.lr or --precision float32"
    )


def to_device(batch: Batch, device: torch.device) -> Batch:
    batch = batch.to(device)
    if batch.pictures.dtype == torch.uint8:
        return replace(batch, pictures=batch.pictures.contiguous(memory_format=torch.channels_last))
    return batch


@torch.no_grad()
def validate(run: Run) -> tuple[float, checkpoints.Threshold]:
    """The quick check: loss, and the best threshold with its rates, on the validation split.

    It measures `captions_per_picture` captions of each photograph with drawn hard negatives, the same in every epoch,
    and uses the averaged weights if there is an average. Each of several processes computes every size-th batch.
    """
    run.model.eval()
    found = [(torch.zeros(0),) * 5]  # a process can be without a batch
    with run.average.in_place():
        for batch in run.val_loader:
            if run.stop and run.group.size == 1:  # several processes would all have to stop at the same batch
                break
            batch = to_device(batch, run.device)
            patches, words = run.encode_pictures(batch.pictures), run.encode_texts(batch.words)
            owner, n = torch.cat([batch.owner, batch.owner[batch.negative_of]]), len(batch.owner)
            scores, rows = run.model.pair_scores(patches[owner], words), torch.tensor(batch.rows)[owner.cpu()]
            found.append((run.loss(patches, words, batch).view(1), scores[:n], scores[n:], rows[:n], rows[n:]))
    if run.stop and run.group.size == 1:  # outside `in_place`: a checkpoint holds the weights, not their average
        save(run)
        raise Stopped
    own = [torch.cat([part.cpu() for part in parts]) for parts in zip(*found)]
    loss, true, false, *photographs = (torch.cat(parts).numpy() for parts in zip(*run.group.merge(own)))
    if not all(np.isfinite(values).all() for values in (loss, true, false)):
        raise FloatingPointError(
            "validation loss or scores are NaN or infinite; train again with --overwrite and a lower --optim.lr"
        )
    epoch = run.progress.epoch + 1
    threshold = checkpoints.Threshold.choose(true, false, epoch, photographs=(photographs[0], photographs[1]))
    return float(loss.mean()), threshold


def finish_epoch(run: Run, measured: tuple[float, checkpoints.Threshold] | None) -> None:
    """Write the log, keep the weights if they are the best so far, save a checkpoint, and print a line.

    measured: what `validate` returns; None if there was no quick check.
    """
    config, now = run.config, run.progress
    epoch = now.epoch + 1
    loss, threshold = measured or (math.nan, None)
    row = {
        "epoch": epoch,
        "train_loss": sum(run.group.merge(now.loss.item())) / max(1, now.step),
        "val_loss": loss,
        **{name: getattr(threshold, name, math.nan) for name in RATES},
        "learning_rate": run.optimizer.param_groups[0]["lr"],
        "seconds": round(now.seconds, 2),
        "pairs_per_second": round(now.captions / max(1e-9, now.seconds), 1),
        "waiting": round(now.waiting / max(1e-9, now.seconds), 4),
    }
    reached = quality(config.optim.keep_by, loss, row["balanced_accuracy"])
    better = reached > now.best
    best, best_epoch = (reached, epoch) if better else (now.best, now.best_epoch)
    run.progress = Progress(epoch=epoch, best=best, best_epoch=best_epoch)
    if run.group.writes:
        if better and threshold is not None:
            with run.average.in_place():
                checkpoints.save_best(config.model_folder, run.model, threshold, run.tokenizer)
        append_log(config.plots_folder / LOG, row)
    save(run)
    rate = now.pictures / max(1e-9, now.seconds)
    mfu = throughput.describe(run.model, config.data.side, rate, frozen=config.backbone.frozen, devices=run.group.size)
    print_line(run, f"{describe_epoch(row, better)}{mfu}")
    if epoch == 1 and row["waiting"] >= 0.1 and len(run.train_loader) >= 20:  # fewer steps: workers were starting
        workers = f"more --data.workers than {config.data.workers} would make the next run faster"
        print_line(run, f"waited for data in {row['waiting']:.0%} of the time; {workers}")


@contextlib.contextmanager
def stop_signals(run: Run) -> Iterator[None]:
    """Inside, SIGINT or SIGTERM saves and stops the run after the current step; a second one ends the process."""

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
    """Write a checkpoint. It holds the random generators of all processes, so all must call this."""
    state = state_of(run)
    if run.group.writes:
        checkpoints.save_state(run.config.model_folder, run.progress.epoch, run.progress.step, state)
    run.saved_at = time.monotonic()


def state_of(run: Run) -> dict[str, Any]:
    """What --resume needs to give the results of an uninterrupted run, without the weights of a frozen backbone."""
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
    """Load the last checkpoint. ValueError if settings, database, negatives or number of processes have changed."""
    path = checkpoints.find_state(run.config.model_folder)
    state = checkpoints.read_state(path, checkpoints.STATE)
    now = flags_of(to_json(replace(run.config, resume=False, overwrite=False)))
    with checkpoints.damaged_checkpoint(path):
        differ = [flag for flag in flags_of(state["config"]) if flag not in now]
    if differ:
        raise ValueError(f"resume with the same flags as before; the run had {' '.join(differ)}")
    if state["database"] != run.database.fingerprint:
        raise ValueError(
            f"{run.config.data.folder} was rebuilt since the run began, so its vocabulary can differ; "
            "train again with --overwrite"
        )
    if state["plan"] != run.database.plan.folder.name:
        raise ValueError(
            "the rules of the hard negatives have changed since the run began; start again with --overwrite"
        )
    if len(state["rng"]) != run.group.size:
        raise ValueError(
            f"the run began with {len(state['rng'])} processes, not {run.group.size}; resume with the same number"
        )
    with checkpoints.damaged_checkpoint(path):
        run.model.load_state_dict(state["model"], strict=not run.config.backbone.frozen)
        run.optimizer.load_state_dict(state["optimizer"])
        run.scheduler.load_state_dict(state["scheduler"])
        run.scaler.load_state_dict(state["scaler"])
        run.average.load_state_dict(state["average"])
        devices.set_rng_state(state["rng"][run.group.rank])
        run.progress = Progress(**state["progress"], loss=state["loss"][run.group.rank])
    print_line(run, f"resumed {where(run)}" if run.progress.step else f"resumed after epoch {run.progress.epoch}")


if __name__ == "__main__":
    main()
