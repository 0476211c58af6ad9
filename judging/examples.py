"""Pictures to try a judge on, each with a text: photographs, and drawn scenes for judges of scenes.

The photographs are in the public domain or under CC0: the astronaut Eileen Collins (NASA), a cat (Stefan van der Walt),
a man with a camera (Lav Varshney). scikit-image distributes them too.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from sources.scenes import draw, make_scene

if TYPE_CHECKING:
    from judging.judge import Judge

PLOTS = Path(__file__).resolve().parent.parent / "Plots"
SCENE_SIDE = 128  # pixels of the drawings that models of scenes were trained on
SHOWN_SIDE = 384  # pixels of a drawing on the page


class Example(NamedTuple):
    """A picture and a text about it."""

    picture: str | int  # the name of a file in Plots, or the seed of a drawn scene
    text: str
    true: bool

    @property
    def name(self) -> str:
        return f"drawing {self.picture}" if isinstance(self.picture, int) else self.picture

    def open(self) -> tuple[Image.Image, Image.Image]:
        """The picture as a judge reads it, and a larger one to show."""
        return open_example(self.picture)


@cache
def open_example(picture: str | int) -> tuple[Image.Image, Image.Image]:
    if isinstance(picture, str):
        with Image.open(PLOTS / picture) as file:
            photograph = file.convert("RGB")
        return photograph, photograph
    scene = make_scene(picture)
    return draw(scene, SCENE_SIDE), draw(scene, SHOWN_SIDE)


# The first of both kinds is a file: Predict.py without a picture judges it.
PHOTOGRAPHS = (
    Example("example_astronaut.jpg", "A woman in an orange suit is smiling.", True),
    Example("example_camera.jpg", "A man in a black coat is taking a picture.", True),
    Example("example_astronaut.jpg", "A woman in a blue suit is smiling.", False),
    Example("example_cat.jpg", "A brown dog is looking at the camera.", False),
    Example("example_astronaut.jpg", "A woman in a green suit stands in front of a flag.", False),
    Example("example_camera.jpg", "A man in a black coat is riding a bicycle.", False),
)
SCENES = (
    Example("example_scene.png", "A striped yellow umbrella on a beach.", True),
    Example(900021, "The large cat on a stage is purple.", False),
    Example(900012, "One striped white kite is to the upper left of a plain blue balloon on a beach.", True),
    Example(900017, "On a mountain, a big orange bird is to the right of a big plain white tree.", False),
    Example(900006, "Three tiny purple flowers on a stage.", True),
    Example(900014, "You can see a dotted purple shirt and a plain purple star on a beach.", False),
)


def examples_for(judge: Judge) -> tuple[Example, ...]:
    """Examples of the kind of pictures that a judge was trained on."""
    kind = judge.trained_on or judge.loaded.config.data.name  # an earlier version has no `trained_on`
    return SCENES if kind.endswith("drawn scenes") or kind.startswith("scenes") else PHOTOGRAPHS
