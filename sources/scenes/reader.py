"""The drawn scenes as a data set of any size."""

import hashlib
import json
from collections.abc import Iterator

from common.jobs import progress
from sources.items import Item, Picture, Source, Text
from sources.scenes.captions import describe
from sources.scenes.scene import make_scene

SEEDS_PER_DATABASE = 1_000_000  # so databases with different --seed have different scenes


def read_scenes(count: int, seed: int) -> Iterator[Item]:
    """Yield `count` different scenes with their captions. The same seed gives the same scenes.

    Raises ValueError if the seed does not give that many different scenes.
    """
    seen: set[bytes] = set()
    bar = progress(None, "scenes", " scenes", count)
    for scene_seed in range(seed * SEEDS_PER_DATABASE, (seed + 1) * SEEDS_PER_DATABASE):
        if len(seen) == count:
            bar.close()
            return
        scene = make_scene(scene_seed)
        # An equal scene in another split would be a leak; in the same split, its captions could be drawn as negatives.
        digest = hashlib.blake2b(json.dumps(scene, sort_keys=True).encode(), digest_size=16).digest()
        if digest in seen:
            continue
        seen.add(digest)
        bar.update()
        image_id = f"scene-{scene_seed:06d}"
        yield Picture(image_id, image_id, None, scene=scene)
        for number, (caption, regions) in enumerate(describe(scene, scene_seed)):
            yield Text(image_id, caption, "caption", f"{image_id}:{number}", regions=regions)
    if len(seen) < count:
        raise ValueError(f"--scenes {count}: seed {seed} gives only {len(seen)} different scenes; ask for fewer")


SOURCES = {
    "scenes": Source(
        "number", lambda count, settings: read_scenes(count, settings.seed), collection="", title="drawn scenes"
    )
}
