"""Who may import whom (docs/architecture.md), how long files and functions may be, and what an import must not do.

Read from the source with ``ast``: nothing here trains anything.
"""

import ast
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin

import skfair
from skfair.utils import all_estimators

ROOT = Path(skfair.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
FAMILIES = ("adversarial", "attention", "augmentation", "regularization", "representation", "reprogramming", "robust")
FRAME = {"base", "callbacks"}
BELOW = {"functional", "modules", "_data", "_lazy", "_sensitive", "_random", "_routing"}  # what the frame stands on

# unit -> the units of skfair that it may import at module level
MAY = {
    "__init__": set(),
    "functional": set(),
    "_routing": set(),
    "_sensitive": set(),
    "_random": set(),
    "modules": {"functional"},
    "_lazy": set(),
    "_data": {"functional", "_lazy"},
    "callbacks": {"functional"},
    "base": BELOW | {"callbacks", "preprocessing"},  # texts become token ids there
    "robust": {"base", "functional", "modules"},
    **{family: {"base", "functional", "modules", "robust"} for family in FAMILIES if family != "robust"},
    "augmentation": {"base", "functional", "modules", "robust", "representation"},  # autoencoders are generators
    "metrics": {"_routing", "_sensitive"},
    "datasets": set(),
    "preprocessing": set(),
    "model_selection": {"_sensitive", "base", "functional", "metrics", "_random", "_routing", *FAMILIES},
    "inspection": {"_sensitive", "base", "functional", "metrics", "model_selection", *FAMILIES},
    "reporting": {"_sensitive", "metrics", "model_selection", "inspection"},
    "utils": {"base"},
}
MAY_LATER = {"callbacks": {"metrics"}, "__init__": {"base"}, "reporting": {"base"}}  # inside a function
NO_TORCH = ("metrics", "datasets", "preprocessing", "reporting", "_routing", "_sensitive")
# what a method may take from other libraries than torch: finished parts, never plumbing
FROM_LIBRARIES = {"sklearn.svm", "sklearn.decomposition", "sklearn.metrics", "scipy.special"}
HEAVY = {"torchvision", "matplotlib", "captum", "transformers"}


class Import(NamedTuple):
    name: str  # the module, absolute
    names: tuple  # what is taken from it
    later: bool  # inside a function


def name_of(path):
    return str(path.relative_to(ROOT))


def unit(module):
    """functional, robust, ... of skfair.robust._erm."""
    return (module.split(".") + ["__init__"])[1]


def unit_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0]


def imports(path, source=None):
    """All imports of a file, relative ones resolved."""
    tree = ast.parse(path.read_text() if source is None else source)
    package = ["skfair", *path.relative_to(ROOT).parent.parts]

    def visit(node, later):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, (), later) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                module = ".".join([*base, *([child.module] if child.module else [])])
                yield Import(module, tuple(alias.name for alias in child.names), later)
            yield from visit(child, later or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))

    return list(visit(tree, False))


def units_of(found):
    """The units of skfair that an import reaches: ``from skfair import base`` reaches base."""
    if found.name == "skfair":
        return {name for name in found.names if (ROOT / name).is_dir() or (ROOT / f"{name}.py").exists()}
    return {unit(found.name)} if found.name.startswith("skfair.") else set()


def breaches(path, source=None):
    """What a file imports of skfair that its place does not allow."""
    own = unit_of(path)
    bad = []
    for found in imports(path, source):
        allowed = MAY[own] | {own} | (MAY_LATER.get(own, set()) if found.later else set())
        bad += sorted(units_of(found) - allowed)
    return bad


def outside(found):
    return found.name.split(".")[0]


every_file = pytest.mark.parametrize("path", FILES, ids=name_of)


def test_there_are_files_and_each_has_a_place():
    assert len(FILES) > 40
    assert {unit_of(path) for path in FILES} <= set(MAY)


@every_file
def test_imports_go_down_only(path):
    assert breaches(path) == []


def test_a_breach_is_found():
    robust, metrics = ROOT / "robust" / "_erm.py", ROOT / "metrics" / "_gaps.py"
    assert breaches(robust, "from skfair.metrics import get_scorer") == ["metrics"]
    assert breaches(robust, "from .. import adversarial") == ["adversarial"]
    assert breaches(robust, "def f():\n    from ..adversarial._adversarial import X") == ["adversarial"]
    assert breaches(robust, "from ._group_dro import X\nimport skfair.base, torch") == []
    assert breaches(metrics, "from skfair import base, __version__") == ["base"]
    assert breaches(ROOT / "functional.py", "import skfair.modules._mlp") == ["modules"]
    assert breaches(ROOT / "callbacks.py", "from skfair.metrics import get_scorer") == ["metrics"]


def method_files():
    return [path for path in FILES if unit_of(path) in FAMILIES]


@pytest.mark.parametrize("path", method_files(), ids=name_of)
def test_a_method_needs_neither_skorch_nor_scikit_learn(path):
    names = {item.name for item in imports(path)} - FROM_LIBRARIES
    found = {name.split(".")[0] for name in names}
    standard = set(sys.stdlib_module_names)
    assert found - standard <= {"torch", "numpy", "skfair"}


@pytest.mark.parametrize("path", [p for p in FILES if unit_of(p) in ("functional", "modules")], ids=name_of)
def test_formulas_and_networks_know_torch_alone(path):
    found = {outside(item) for item in imports(path) if not item.later}
    assert found - set(sys.stdlib_module_names) <= {"torch", "skfair"}


@pytest.mark.parametrize("path", [p for p in FILES if unit_of(p) in NO_TORCH], ids=name_of)
def test_metrics_and_data_import_no_torch(path):
    found = {outside(item) for item in imports(path) if not item.later}
    assert not found & {"torch", "torchvision", "skorch"}


@every_file
def test_heavy_packages_only_inside_functions(path):
    assert not {outside(item) for item in imports(path) if not item.later} & HEAVY


def private(item):
    parts = [*item.name.split("."), *item.names]
    return parts[0] in ("sklearn", "skorch") and any(part.startswith("_") for part in parts)


@every_file
def test_private_parts_of_scikit_learn_and_skorch(path):
    found = [item for item in imports(path) if private(item)]
    assert not found or unit_of(path) in ("_routing", "base"), found


@every_file
def test_skorch_stays_in_the_frame(path):
    if any(outside(item) == "skorch" for item in imports(path)):
        assert name_of(path) in ("base/_skorch.py", "callbacks.py")


@every_file
def test_length_of_files(path):
    assert len(path.read_text().splitlines()) <= 300


def long_functions(tree, limit=40):
    """(name, lines) of the functions that are longer than the limit, docstrings not counted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1
            if ast.get_docstring(node) is not None:
                lines -= node.body[0].end_lineno - node.body[0].lineno + 1
            if lines > limit:
                yield node.name, lines


@every_file
def test_length_of_functions(path):
    assert list(long_functions(ast.parse(path.read_text()))) == []


def test_a_long_function_is_found():
    body = "\n".join("    x = 1" for _ in range(40))
    assert list(long_functions(ast.parse(f"def f():\n{body}"))) == [("f", 41)]
    assert list(long_functions(ast.parse(f"def f():\n    '''{body}'''\n    x = 1"))) == []


@every_file
def test_no_print_and_no_cuda_call(path):
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert "print" not in [f.id for f in calls if isinstance(f, ast.Name)]
    assert "cuda" not in [f.attr for f in calls if isinstance(f, ast.Attribute)]


@every_file
def test_no_seeding_and_no_configuration_of_others(path):
    called = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
    bad = {"np.random.seed", "torch.manual_seed", "random.seed", "set_config", "sklearn.set_config"}
    assert not called & bad


# ---------------------------------------------------------------------- what an import does
PROBE = """
import json, sys
import skfair
alone = [name for name in sys.modules if name.startswith("skfair.") or name in ("torch", "sklearn", "numpy")]
import skfair.datasets, skfair.metrics, skfair.model_selection, skfair.preprocessing, skfair.reporting
without_torch = "torch" not in sys.modules and "skorch" not in sys.modules
import numpy as np, sklearn, torch, warnings
def state():
    config = sklearn.get_config(), warnings.filters[:], torch.get_num_threads(), torch.get_default_dtype()
    return repr(config), repr(np.random.get_state()), torch.get_rng_state().tolist()
before = state()
import skfair.adversarial, skfair.callbacks, skfair.regularization, skfair.robust, skfair.utils
skfair.utils.all_estimators()
loaded = sorted({name.split(".")[0] for name in sys.modules})
print(json.dumps({
    "alone": alone, "without_torch": without_torch, "unchanged": before == state(), "loaded": loaded,
    "routing": sklearn.get_config()["enable_metadata_routing"],
}))
"""


def test_what_an_import_loads_and_sets():
    run = subprocess.run([sys.executable, "-W", "error", "-c", PROBE], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    seen = json.loads(run.stdout)
    assert seen["alone"] == []  # `import skfair` loads none of its parts, so it can set nothing
    assert seen["without_torch"]  # metrics, data sets and the preprocessor
    assert seen["unchanged"]  # options, warning filters, generators
    assert seen["routing"] is False
    assert "skfair" in seen["loaded"]
    assert not HEAVY & set(seen["loaded"])


# ---------------------------------------------------------------------- all_estimators
def packages():
    return [path.parent.name for path in FILES if path.name == "__init__.py" and path.parent != ROOT]


def test_all_estimators_finds_what_the_packages_name():
    public = {
        (name, getattr(module, name))
        for module in (importlib.import_module(f"skfair.{package}") for package in packages())
        for name in module.__all__
    }
    classes = {(n, c) for n, c in public if inspect.isclass(c) and issubclass(c, BaseEstimator)}
    named = {(n, c) for n, c in classes if c.__module__.split(".")[1] not in ("base", "model_selection")}
    found = all_estimators()
    assert set(found) == named
    names = [name for name, _ in found]
    assert names == sorted(names)
    assert len(set(names)) == len(names)
    assert {"ERMClassifier", "GroupDROClassifier", "RegularizedClassifier", "AdversarialClassifier"} <= set(names)


@pytest.mark.parametrize("package", packages())
def test_all_names_exist_and_are_documented(package):
    module = importlib.import_module(f"skfair.{package}")
    assert module.__doc__
    for name in module.__all__:
        assert getattr(module, name).__doc__, name


def test_type_filter():
    every = all_estimators()
    classifiers, transformers = all_estimators("classifier"), all_estimators("transformer")
    assert classifiers == [pair for pair in every if issubclass(pair[1], ClassifierMixin)]
    assert transformers == [pair for pair in every if issubclass(pair[1], TransformerMixin)]
    assert all_estimators(["classifier", "transformer"]) == sorted({*classifiers, *transformers}, key=lambda p: p[0])
    samplers = all_estimators("sampler")
    assert samplers == [pair for pair in every if hasattr(pair[1], "fit_resample")] != []
    for bad in ("regressor", ["classifier", "regressor"]):
        with pytest.raises(ValueError, match=r"type_filter.*'classifier', 'sampler', 'transformer'.*'regressor'"):
            all_estimators(bad)


@pytest.mark.parametrize("cls", [pytest.param(cls, id=name) for name, cls in all_estimators()])
def test_public_classes_are_final_documented_and_made_without_arguments(cls):
    made_for_stacks = "skfair.base._stack"
    children = [child for child in cls.__subclasses__() if child.__module__ != made_for_stacks]
    assert not [child for child in children if child.__module__.startswith("skfair.")]
    cls()
    for section in ("Parameters", "Examples"):
        assert f"{section}\n" in inspect.getdoc(cls)
