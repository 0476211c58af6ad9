"""Drawn scenes, the built-in default data: for every text about a scene, it is known whether it is true.

A scene is a dict made from a seed: one background and one to four objects, each with a kind, a colour, a size, a
pattern and a place. `draw` makes its picture, `write_captions` five captions, and `is_true` answers "is this an
accurate description?" for any text of the same words. Nothing is downloaded. The same seed gives the same scene and
captions on every machine, and the same picture with the same version of Pillow.

Why drawn scenes: photographs come with captions, but without a list of what is *not* in them. So a swapped word makes a
caption of a photograph only probably false. Here every negative can be checked.
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
