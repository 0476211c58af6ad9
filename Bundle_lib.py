"""A bundle: a trained model as one .zip that needs neither this program nor torch, and the way back into a `Judge`."""

from pathlib import Path

from Functions import LoadedModel

MANIFEST = "bundle.json"


def load_bundle(path: Path) -> LoadedModel:
    raise NotImplementedError
