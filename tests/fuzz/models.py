"""Model folders and bundles: mutated settings, vocabularies, thresholds, weights and members of a .zip."""

import io
import json
import shutil
import struct
import zipfile
from pathlib import Path
from random import Random

from .mutations import mutate_bytes, mutate_json
from .pictures import TEXT, picture
from .running import Case, Kind

PICTURE, FOLDER, ZIP = "picture.png", "model", "model.zip"


def prepare(folder: Path) -> None:
    """A tiny model with random weights, and its bundle if the exporter is installed."""
    import torch
    from model_folders import model_folder

    from common.world import World, save_world
    from judging.bundle import write_bundle
    from training.checkpoints import load_model

    torch.set_num_threads(1)
    torch.manual_seed(0)
    (folder / FOLDER).mkdir()
    model = model_folder(folder / FOLDER)
    channels = model.backbone.channels
    save_world(
        folder / FOLDER, World(torch.nn.functional.normalize(torch.rand(4, channels)), 0.5, "drawn scenes", 9, 3)
    )
    try:
        import onnxruntime  # noqa: F401

        write_bundle(load_model(folder / FOLDER, torch.device("cpu")), folder / ZIP, "# A card\n")
    except (ValueError, ModuleNotFoundError):
        (folder / ZIP).unlink(missing_ok=True)
    picture(Random(0), "RGB", (64, 64)).save(folder / PICTURE)


def forged_weights(rng: Random, data: bytes) -> bytes:
    """A safetensors file with another header, or NaN, infinite and huge numbers among its tensors."""
    size = struct.unpack("<Q", data[:8])[0]
    header, body = data[8 : 8 + size], data[8 + size :]
    if rng.random() < 0.6:
        header = mutate_json(rng, json.loads(header))
        return struct.pack("<Q", rng.choice((len(header),) * 8 + (0, 2**40, 2**63))) + header + body
    changed = bytearray(body)
    for _ in range(rng.choice((1, 1, 100))):
        place = rng.randrange(0, max(1, len(body) - 4)) // 4 * 4
        changed[place : place + 4] = struct.pack(
            "<f", rng.choice((float("nan"), float("inf"), 1e38, -1e38, 0.0, 1e-44))
        )
    return data[: 8 + size] + bytes(changed)


def mutated(rng: Random, name: str, data: bytes) -> bytes:
    if name.endswith(".json") and rng.random() < 0.75:
        return mutate_json(rng, json.loads(data))
    if name.endswith(".safetensors") and rng.random() < 0.8:
        return forged_weights(rng, data)
    return mutate_bytes(rng, data)


def run(case: Case) -> None:
    rng = case.rng
    if (case.base / ZIP).is_file() and rng.random() < 0.4:
        path = bundle(case)
    else:
        path = case.folder / FOLDER
        shutil.copytree(case.base / FOLDER, path)
        file = rng.choice(sorted(file for file in path.iterdir() if file.is_file()))
        if rng.random() < 0.05:
            file.unlink()
            case.about = f"without {file.name}"
        else:
            file.write_bytes(mutated(rng, file.name, file.read_bytes()))
            case.about = file.name
    more = rng.choice(((), (), (), ("--risk", "0.2"), ("--json",)))
    case.call("Predict.py", case.base / PICTURE, TEXT, "--model", path, "--device", "cpu", *more, statuses=(0, 1, 3))


def bundle(case: Case) -> Path:
    """A bundle with a mutated member, a mutated .zip, or a member that is lost, doubled, huge or stored otherwise."""
    rng, path = case.rng, case.folder / ZIP
    if rng.random() < 0.3:
        case.about = "bytes of the .zip"
        path.write_bytes(mutate_bytes(rng, (case.base / ZIP).read_bytes()))
        return path
    with zipfile.ZipFile(case.base / ZIP) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice([name for name in members if name.endswith((".json", ".onnx"))])
    case.about = f"{name} of the .zip"
    what = rng.choice(("change", "change", "change", "lose", "double", "huge", "folder"))
    if what == "change":
        members[name] = mutated(rng, name, members[name])
    elif what == "lose":
        del members[name]
    elif what == "huge":
        members[name] = bytes(rng.choice((10**6, 10**8, 3 * 10**8)))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for each, data in members.items():
            archive.writestr(f"{each}/" if (what, each) == ("folder", name) else each, data)
        if what == "double":
            import warnings

            with warnings.catch_warnings(action="ignore"):
                archive.writestr(name, mutated(rng, name, members[name]))
    path.write_bytes(file.getvalue())
    return path


MODELS = Kind("models", 1, prepare, run)
