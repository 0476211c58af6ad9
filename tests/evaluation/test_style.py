"""evaluation.style: plots are written in a notebook's kernel, and no warning is printed."""

import os
import subprocess
import sys

import pytest
from scripts import ROOT

from evaluation import style
from judging import heat

# Without judging.heat, which imports torch: that would take 3 s. It has the same `import_matplotlib`.
DRAW = """
import sys
from pathlib import Path
from evaluation.style import import_matplotlib, pyplot, save
figure, axis = pyplot().subplots()
axis.set_title("\u72d7 \u0e2b\u0e21\u0e32")
save(figure, Path(sys.argv[1]))
print(import_matplotlib().colormaps["inferno"].name, pyplot().get_backend())
"""


def test_heat_maps_import_matplotlib_as_plots_do():
    assert heat.import_matplotlib is style.import_matplotlib and heat.pyplot is style.pyplot


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense"])
def test_the_backend_of_a_notebook_costs_no_plots(backend, tmp_path):
    environment = {**os.environ, "MPLBACKEND": backend, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", DRAW, str(tmp_path / "plot.png")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout.lower(), done.stderr) == (0, "inferno agg\n", "")
    assert (tmp_path / "plot.png").stat().st_size > 1000
