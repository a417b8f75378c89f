import matplotlib
import numpy as np
import pandas as pd
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from sklearn.datasets import make_classification
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from skfair.inspection import ParetoFrontDisplay
from skfair.metrics import get_scorer
from skfair.model_selection import pareto_front


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def table(accuracy, gap, half=0.05):
    """frontier_ with gaps as they are, to be negated here."""
    columns = {}
    for name, mean in {"accuracy": np.array(accuracy), "gap": -np.array(gap)}.items():
        columns |= {f"mean_{name}": mean, f"low_{name}": mean - half, f"high_{name}": mean + 2 * half}
    return pd.DataFrame(columns)


FOUND = table([0.8, 0.9, 0.7, 0.75], [0.2, 0.4, 0.3, 0.12])  # the third is beaten
CONTROLS = {"unmitigated": table([0.9], [0.5]), "constant": table([0.6, 0.4], [0.0, 0.0])}


def lines(display):
    return {line.get_label(): line.get_xydata() for line in display.ax_.lines}


def bars(display):
    """The ends of the error bars: of x, of y, search after search."""
    return [np.array(c.get_segments()) for c in display.ax_.collections if hasattr(c, "get_segments")]


def legend(display):
    return [text.get_text() for text in display.figure_.legends[0].get_texts()]


def test_the_front_is_solid_and_all_candidates_are_faint():
    display = ParetoFrontDisplay.from_search(FOUND, x="gap", y="accuracy", name="ours")
    np.testing.assert_allclose(lines(display)["ours"], [[0.12, 0.75], [0.2, 0.8], [0.4, 0.9]])
    faint = display.ax_.collections[0]
    np.testing.assert_allclose(faint.get_offsets(), np.column_stack([-FOUND["mean_gap"], FOUND["mean_accuracy"]]))
    assert faint.get_alpha() < 0.5
    assert display.ax_.lines[0].get_alpha() is None
    assert display.figure_ is display.ax_.figure


def test_the_bars_are_the_intervals():
    of_x, of_y = bars(ParetoFrontDisplay.from_search(FOUND, x="gap", y="accuracy"))
    gap, accuracy = np.array([0.12, 0.2, 0.4]), np.array([0.75, 0.8, 0.9])
    np.testing.assert_allclose(of_x[:, :, 0], np.column_stack([gap - 0.1, gap + 0.05]))  # negated: the ends swap
    np.testing.assert_allclose(of_x[:, :, 1], np.column_stack([accuracy, accuracy]))
    np.testing.assert_allclose(of_y[:, :, 1], np.column_stack([accuracy - 0.05, accuracy + 0.1]))


def test_the_bars_of_gaps_end_at_0_and_those_of_others_do_not():
    found = table([0.02], [0.03])
    of_x, of_y = bars(ParetoFrontDisplay.from_search(found, x="gap", y="accuracy"))
    np.testing.assert_allclose(of_x[0, :, 0], [0, 0.08])
    np.testing.assert_allclose(of_y[0, :, 1], [-0.03, 0.12])


@pytest.mark.parametrize("absent", [["low_gap", "high_gap"], ["low_gap", "high_gap", "low_accuracy", "high_accuracy"]])
def test_without_intervals_there_are_no_bars(absent):
    display = ParetoFrontDisplay.from_search(FOUND.drop(columns=absent), x="gap", y="accuracy")
    assert len(bars(display)) == (4 - len(absent)) / 2
    assert len(display.ax_.lines[0].get_xydata()) == 3


def test_nan_is_left_out():
    found = pd.concat([FOUND, FOUND.iloc[:1].assign(mean_gap=np.nan)], ignore_index=True)
    found.loc[0, ["low_gap", "high_gap"]] = np.nan
    display = ParetoFrontDisplay.from_search(found, x="gap", y="accuracy", name="ours")
    assert len(lines(display)["ours"]) == 3
    display.figure_.canvas.draw()


@pytest.mark.parametrize(("x", "y"), [("gap", "accuracy"), ("accuracy", "gap"), ("accuracy", "accuracy_2")])
def test_the_line_is_the_border_of_what_is_dominated(x, y):
    found = FOUND.assign(mean_accuracy_2=1 - FOUND["mean_accuracy"] ** 2)
    display = ParetoFrontDisplay.from_search(found, x=x, y=y)
    (line,) = display.ax_.lines
    points = line.get_xydata()
    assert (np.diff(points[:, 0]) > 0).all()
    vertical_first = {"steps-pre": True, "steps-post": False}[line.get_drawstyle()]
    before, after = points[:-1], points[1:]
    x_turn, y_turn = (before[:, 0], after[:, 1]) if vertical_first else (after[:, 0], before[:, 1])
    sign = [-1 if name == "gap" else 1 for name in (x, y)]  # in scores: greater is better
    for corner in np.column_stack([x_turn, y_turn]) * sign:
        assert ((points * sign) >= corner).all(axis=1).any()


def test_several_searches_and_controls():
    searches = {"ours": FOUND, "peer": FOUND.assign(mean_accuracy=FOUND["mean_accuracy"] - 0.1)}
    display = ParetoFrontDisplay.from_searches(searches, x="gap", y="accuracy", controls=CONTROLS)
    assert legend(display) == ["ours", "peer", "unmitigated", "constant"]
    shown = lines(display)
    np.testing.assert_allclose(shown["peer"] - shown["ours"], [[0, -0.1]] * 3)
    np.testing.assert_allclose(shown["unmitigated"], [[0.5, 0.9]])
    np.testing.assert_allclose(shown["constant"], [[0, 0.6]])  # the other constant is beaten by this one
    drawn = display.ax_.lines
    assert len({line.get_marker() for line in drawn}) == 4
    assert len({line.get_color() for line in drawn}) == 3
    red, green, blue = matplotlib.colors.to_rgb(drawn[-1].get_color())
    assert red == green == blue
    assert [line.get_linestyle() for line in drawn] == ["-", "-", "None", "None"]


def test_without_a_name_there_is_no_legend():
    assert not ParetoFrontDisplay.from_search(FOUND, x="gap", y="accuracy").figure_.legends
    display = ParetoFrontDisplay.from_search(FOUND, x="gap", y="accuracy", controls=CONTROLS)
    assert legend(display) == ["unmitigated", "constant"]


def test_axes_that_are_given():
    figure, (left, right) = plt.subplots(1, 2)
    display = ParetoFrontDisplay.from_search(FOUND, x="gap", y="accuracy", name="ours", ax=right)
    assert display.ax_ is right
    assert display.figure_ is figure
    assert not left.lines
    assert not figure.legends
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["ours"]


# ---------------------------------------------------------------------- which scores are negated
@pytest.fixture(scope="module")
def search():
    X, y = make_classification(90, random_state=0)
    gap = get_scorer("demographic_parity_difference", sensitive_columns=lambda X: X[:, 0] > 0)
    ratio = get_scorer("demographic_parity_ratio", sensitive_columns=lambda X: X[:, 0] > 0)
    scoring = {"accuracy": "accuracy", "gap": gap, "demographic_parity_ratio": ratio, "neg_log_loss": "neg_log_loss"}
    return GridSearchCV(LogisticRegression(), {"C": [1e-3, 0.1, 10]}, cv=3, scoring=scoring, refit=False).fit(X, y)


def test_a_search_knows_its_scorers(search):
    display = ParetoFrontDisplay.from_search(search, x="gap", y="accuracy", name="grid")
    front = pareto_front(search, "gap", "accuracy")
    np.testing.assert_allclose(lines(display)["grid"][::-1], front[["mean_gap", "mean_accuracy"]] * [-1, 1])
    assert display.ax_.get_xlabel() == "gap: demographic parity difference\n← smaller is better"
    assert display.ax_.get_ylabel() == "accuracy\ngreater is better →"
    display = ParetoFrontDisplay.from_search(search, x="demographic_parity_ratio", y="neg_log_loss")
    assert display.ax_.get_xlabel() == "demographic parity ratio\ngreater is better →"
    assert display.ax_.get_ylabel() == "log loss\n← smaller is better"
    assert (display.ax_.lines[0].get_ydata() > 0).all()


def test_the_scorer_decides_where_there_is_one(search):
    """A frame of gaps alone would be taken as negated, and one of positive values not."""
    odd = FOUND.assign(mean_gap=[0.1, 0.2, 0.3, 0.4])
    display = ParetoFrontDisplay.from_searches({"grid": search, "odd": odd}, x="gap", y="accuracy")
    assert display.negated == ["gap"]
    assert ParetoFrontDisplay.from_search(odd, x="gap", y="accuracy").negated == []
    assert ParetoFrontDisplay.from_search(FOUND, x="gap", y="accuracy").negated == ["gap"]
    both = {"found": FOUND, "odd": odd}
    assert ParetoFrontDisplay.from_searches(both, x="gap", y="accuracy").negated == []


def test_one_score_only():
    X, y = make_classification(60, random_state=0)
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2, scoring="neg_brier_score").fit(X, y)
    display = ParetoFrontDisplay.from_search(search, x="score", y="score")
    assert display.ax_.get_xlabel() == "score: brier score loss\n← smaller is better"
    assert (display.ax_.lines[0].get_xdata() > 0).all()


def test_a_score_that_is_negated_in_one_search_alone(search):
    X, y = make_classification(60, random_state=0)
    other = GridSearchCV(LogisticRegression(), {}, cv=2, scoring={"gap": "accuracy", "accuracy": "f1"}, refit=False)
    with pytest.raises(ValueError, match="score 'gap' is negated in one search and not in another"):
        ParetoFrontDisplay.from_searches({"a": search, "b": other.fit(X, y)}, x="gap", y="accuracy")


def test_errors(search):
    with pytest.raises(ValueError, match=r"no score 'speed'; the search has \['accuracy', 'gap'\]"):
        ParetoFrontDisplay.from_search(FOUND, x="speed", y="accuracy")
    with pytest.raises(ValueError, match=r"no score 'speed'; the search has \['accuracy', 'gap', 'demographic"):
        ParetoFrontDisplay.from_search(search, x="gap", y="speed")
    with pytest.raises(ValueError, match=r"no score 'gap'; the search has \['accuracy'\]"):
        ParetoFrontDisplay.from_search(FOUND, x="gap", y="accuracy", controls={"a": FOUND[["mean_accuracy"]]})
    for bad in (FOUND, [FOUND], {}):
        with pytest.raises(ValueError, match="must be a dict of searches by name"):
            ParetoFrontDisplay.from_searches(bad, x="gap", y="accuracy")
    with pytest.raises(NotFittedError):
        ParetoFrontDisplay.from_search(GridSearchCV(LogisticRegression(), {}), x="gap", y="accuracy")
