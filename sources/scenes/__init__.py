"""The embedded default data: drawn scenes whose truth is known.

A scene is a plain dict, made from a seed: one background and one to four objects, each with a kind, a colour,
a size, a pattern and a place. From it come a picture (`draw`), five true captions (`write_captions`) and, for
any caption made of the same words, the answer to "is this an accurate description?" (`is_true`). Nothing is
downloaded. The same seed gives the same scene and captions on every machine, and the same picture wherever Pillow is
the same.

Why drawn data: photographs come with captions but without a list of what is *not* in them, so a swapped word makes
their caption only probably false. Here every swap can be checked.
"""

from sources.scenes.captions import write_captions
from sources.scenes.drawing import draw
from sources.scenes.drawings import BACKGROUNDS, COLOURS, KINDS, PATTERNS
from sources.scenes.reader import SOURCES, read_scenes
from sources.scenes.scene import SIZES, make_scene
from sources.scenes.truth import is_true

__all__ = [
    "BACKGROUNDS",
    "COLOURS",
    "KINDS",
    "PATTERNS",
    "SIZES",
    "SOURCES",
    "draw",
    "is_true",
    "make_scene",
    "read_scenes",
    "write_captions",
]
