"""The style of all plots, and how they are written.

Colours are safe for colour blindness (Okabe & Ito 2008).
"""

import os
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Literal
from unittest import mock

from common.storage import write_atomically

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
DARK, GREY = "#222222", "#767676"
DPI = 200
FigureFormat = Literal["png", "pdf", "svg"]


def import_matplotlib() -> Any:
    """matplotlib. Its import fails if MPLBACKEND names a backend that is not installed; that of a notebook's kernel
    reaches scripts that a notebook starts, and these need no backend."""
    with mock.patch.dict(os.environ):
        os.environ.pop("MPLBACKEND", None)
        import matplotlib
    return matplotlib


def pyplot() -> Any:
    """matplotlib.pyplot in this style, for files only; imported at the first call."""
    import_matplotlib().use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update(
        {
            "axes.prop_cycle": plt.cycler(color=COLOURS),
            "axes.grid": True,
            "grid.alpha": 0.25,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "figure.constrained_layout.h_pad": 0.08,  # inches around each panel
            "figure.constrained_layout.w_pad": 0.08,
            "font.size": 11,
            "pdf.fonttype": 42,  # TrueType: many journals refuse matplotlib's default, Type 3
        }
    )
    return plt


def save(figure: Any, path: Path) -> None:
    """Write a figure in the format that the file name ends with, atomically: a viewer may open it at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)  # a box is drawn instead
        warnings.filterwarnings("ignore", "constrained_layout not applied", UserWarning)  # a title is too high
        write_atomically(path, partial(figure.savefig, dpi=DPI, format=path.suffix[1:]))
    pyplot().close(figure)
