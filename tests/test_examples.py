"""Each example of the gallery has its form, and runs by itself, without warnings, leaving pictures and no files."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
ROOT = Path(__file__).parents[1]
EXAMPLES = [pytest.param(path, id=path.stem) for path in sorted((ROOT / "examples").glob("*.py"))]
# how the gallery runs an example, and the spread of the pixels of each of its pictures, line by line
RUN = """
import json, runpy, sys
import matplotlib.pyplot as plt, numpy as np
runpy.run_path(sys.argv.pop(1), run_name="__main__")
spreads = []
for number in plt.get_fignums():
    figure = plt.figure(number)
    figure.canvas.draw()
    spreads += [float(np.asarray(figure.canvas.buffer_rgba())[..., :3].std())]
print(json.dumps(spreads))
"""


@pytest.mark.parametrize("path", EXAMPLES)
def test_the_form(path):
    text = path.read_text()
    title, line = ast.get_docstring(ast.parse(text)).split("\n")[:2]
    assert line == "=" * len(title)
    assert text.count("\n# %%\n") >= 2
    for heading, line in re.findall(r"^# (.+)\n# (-+)$", text, flags=re.MULTILINE):
        assert len(line) >= len(heading), heading
    if "sensitive_features=" in text and "plot_attention_maps" not in path.name and "latent_leakage" not in path.name:
        assert "sklearn.set_config(enable_metadata_routing=True)" in text


def test_the_order_of_the_gallery_names_every_example():
    order = (ROOT / "docs" / "conf.py").read_text().split("_READING_ORDER = (")[1].split(")")[0]
    assert sorted(re.findall(r'"(\w+)"', order)) == sorted(path.stem for path in (ROOT / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES)
def test_an_example_runs(path, tmp_path):
    shown = ["-W", "error", "-W", "ignore:FigureCanvasAgg is non-interactive"]  # no window is opened here
    env = {**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, *shown, "-c", RUN, path], capture_output=True, text=True, cwd=tmp_path, env=env, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    spreads = json.loads(run.stdout.splitlines()[-1])
    assert len(spreads) >= 1
    assert np.min(spreads) > 5  # not empty
    assert not list(tmp_path.iterdir())
