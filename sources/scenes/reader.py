"""The drawn scenes as a source: as many different ones as a database asks for."""

import hashlib
import json
from collections.abc import Iterator

from common.jobs import progress
from sources.items import Item, Picture, Source, Text
from sources.scenes.captions import write_captions
from sources.scenes.scene import make_scene

SEEDS_PER_DATABASE = 1_000_000  # scenes of --seed 1 start where those of --seed 0 can never reach


def read_scenes(count: int, seed: int) -> Iterator[Item]:
    """Make `count` different drawn scenes with their captions; the same seed gives the same scenes."""
    seen: set[bytes] = set()
    bar = progress(None, "scenes", " scenes", count)
    for scene_seed in range(seed * SEEDS_PER_DATABASE, (seed + 1) * SEEDS_PER_DATABASE):
        if len(seen) == count:
            bar.close()
            return
        scene = make_scene(scene_seed)
        # A twin in another split would be a leak, and within one it would make a true caption a "negative".
        digest = hashlib.blake2b(json.dumps(scene, sort_keys=True).encode(), digest_size=16).digest()
        if digest in seen:
            continue
        seen.add(digest)
        bar.update()
        image_id = f"scene-{scene_seed:06d}"
        yield Picture(image_id, image_id, None, scene=scene)
        for number, caption in enumerate(write_captions(scene, scene_seed)):
            yield Text(image_id, caption, "caption", f"{image_id}:{number}")
    if len(seen) < count:
        raise ValueError(f"{count} different scenes wanted, seed {seed} gives {len(seen)}; ask for fewer scenes")


SOURCES = {"scenes": Source("number", lambda count, settings: read_scenes(count, settings.seed), collection="")}
