import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from skfair.inspection import GroupScoreDisplay
from skfair.metrics import group_report


@pytest.fixture
def report():
    rng = np.random.default_rng(0)
    y, p, s = rng.integers(0, 2, 200), rng.integers(0, 2, 200), rng.choice(["f", "m", "x"], 200)
    yield group_report(y, p, sensitive_features=s, n_boot=100, random_state=0)
    plt.close("all")


def test_points_and_bars_are_those_of_the_report(report):
    display = GroupScoreDisplay.from_report(report, rates=("TPR",))
    (container,) = display.ax_[0].containers
    np.testing.assert_allclose(container.lines[0].get_xdata(), report.by_group["TPR"])
    ends = np.array([segment[:, 0] for segment in container.lines[2][0].get_segments()])
    np.testing.assert_allclose(ends, report.by_group[["TPR_low", "TPR_high"]].to_numpy())
    assert [label.get_text() for label in display.ax_[0].get_yticklabels()] == ["f", "m", "x"]


def test_several_reports_stand_side_by_side(report):
    display = GroupScoreDisplay.from_reports({"a": report, "b": report})
    assert len(display.ax_) == 4
    heights = [container.lines[0].get_ydata() for container in display.ax_[0].containers]
    assert np.all(heights[0] < heights[1])
    assert [text.get_text() for text in display.figure_.legends[0].get_texts()] == ["a", "b"]


def test_errors(report):
    with pytest.raises(ValueError, match=r"no rates \['speed'\]; it has .*TPR"):
        GroupScoreDisplay.from_report(report, rates=("speed",))
    with pytest.raises(ValueError, match="must be a dict"):
        GroupScoreDisplay.from_reports([report])
