"""The documentation says what the code says, its links lead somewhere, and the pages that are scripts run."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
import sklearn

import skfair
from skfair.utils import all_estimators

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SCRIPTS = (
    "which_method", "is_my_gain_real", "groups", "routing", "persistence", "faults", "metrics", "searching", "tabular",
    "group_dro", "regularization", "adversarial", "without_groups", "representation", "latent_codes", "attention",
    "augmentation", "reprogramming", "reporting", "large_data", "model_card",
)  # fmt: skip
WORKFLOWS = ("workflow_adult", "workflow_meps", "workflow_german")
WRITTEN = sorted([*DOCS.glob("*.md"), *DOCS.glob("api/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
ESTIMATORS = [pytest.param(name, cls, id=name) for name, cls in all_estimators()]


# ---------------------------------------------------------------------- which method?
def rows():
    """{estimator: cells} of the table of all methods, a list of cells for each row that there is."""
    text = (DOCS / "which_method.md").read_text().split("## All methods")[1]
    found = {}
    for line in re.findall(r"^\| `\w+` \|.*$", text, flags=re.MULTILINE):
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        found.setdefault(name.strip("`"), []).append(cells)
    return found


def groups_of(cls):
    """The cells of the table "needs groups" in a docstring, as markdown: at fit, to select, at predict."""
    row = re.search(rf"^{cls.__name__}  +(.*)$", inspect.getdoc(cls), flags=re.MULTILINE).group(1)
    return [cell.replace("``", "`") for cell in re.split(r"\s{2,}", row.strip())]


def stacks_of(cls):
    names = getattr(cls, "stacks_over", None)
    if names is None:
        return "no"
    return ", ".join(f"`{name}`" for name in names) or "splits and seeds"


def test_every_estimator_has_one_row():
    assert {name: len(found) for name, found in rows().items()} == {name: 1 for name, _ in all_estimators()}


@pytest.mark.parametrize(("name", "cls"), ESTIMATORS)
def test_a_row_says_what_the_code_says(name, cls):
    _, *groups, data, stacks, paper, reproduced = rows()[name][0]
    assert groups == groups_of(cls)
    assert stacks == stacks_of(cls)
    assert set(data.split(", ")) <= {"table", "image", "text"}
    assert "reproducing.md#" in reproduced or reproduced == "no paper's method"
    if paper != "none":
        words = " ".join(inspect.getdoc(cls).split("References\n")[1].split())
        for part in paper.split("; "):
            assert re.search(r"\w+", part).group() in words  # the first author
            assert re.search(r"\d{4}", part).group() in words


# ---------------------------------------------------------------------- links
def anchors(path):
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL), flags=re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("http"):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_start_page_lists_every_page():
    listed = re.findall(r"\]\(([^)\s]+)\)", (DOCS / "index.md").read_text())
    assert {f"{page.stem}.md" for page in DOCS.glob("*.md")} - {"index.md"} <= set(listed)


def test_the_api_lists_every_package():
    """What is in a package's ``__all__`` appears by itself; the package has to be named."""
    listed = re.findall(r"^ +(skfair[.\w]*)$", (DOCS / "api" / "index.md").read_text(), flags=re.MULTILINE)
    names = [
        "skfair",
        "skfair.utils.estimator_checks",
        *(info.name for info in pkgutil.iter_modules(skfair.__path__, "skfair.")),
    ]
    public = [name for name in names if "._" not in name]
    assert sorted(listed) == sorted(public)
    assert all(hasattr(importlib.import_module(name), "__all__") for name in public)


# ---------------------------------------------------------------------- scripts
def script(page):
    """The Python blocks of a page as one script, with the page's own line numbers.

    Blocks that need more than is at hand (a cluster, a pretrained model, photographs) are marked ``py``.
    """
    lines, inside = [], False
    for line in page.read_text().splitlines():
        fence = line.startswith("```")
        lines.append(line if inside and not fence else "")
        inside = line == "```python" if fence else inside
    return "\n".join(lines)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in ("searching", "reprogramming"))) for name in SCRIPTS],
)
def test_a_page_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write a file
    run(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["datasets", *WORKFLOWS])
def test_a_page_runs_on_real_data(name, real_data, tmp_path, monkeypatch):
    if name in WORKFLOWS:
        pytest.importorskip("skops")
        monkeypatch.chdir(tmp_path)  # pictures, models and cards
    run(name)
    assert len(list(tmp_path.iterdir())) == (3 if name in WORKFLOWS else 0)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_shows_what_it_prints(name):
    """Behind each block that prints stands what it printed."""
    text = (DOCS / f"{name}.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```\n(\n```text\n(?!```))?", text, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 6
    assert all(shown for code, shown in blocks if re.search(r"^ *print\(", code, flags=re.MULTILINE))


def run(name):
    page = DOCS / f"{name}.md"
    with sklearn.config_context():  # pages switch routing on
        exec(compile(script(page), str(page), "exec"), {"__name__": name})


# ---------------------------------------------------------------------- pins
@pytest.mark.parametrize("name", ["dev.txt", "docs.txt"])
def test_pins_name_no_index(name):
    for line in (ROOT / "requirements" / name).read_text().splitlines():
        assert re.match(r"[\w.\-\[\]]+==", line), line
        assert "://" not in line
