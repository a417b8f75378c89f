"""The docstring of every public name is complete, by numpydoc's own checks.

Which checks: that a summary is there and reads as a sentence, that parameters are those of the signature in its order,
and that what is returned is said. Left out are matters of taste (a type for each parameter, an extended summary).
"""

import importlib
import inspect
import pkgutil
import re

import pytest
from numpydoc.validate import validate

import skfair.base
from skfair.base import BaseNet

CHECKS = {
    "GL08": "there is a docstring",
    "GL02": "the closing quotes stand in a line of their own",
    "GL05": "no tabs",
    "GL06": "no unknown section",
    "GL07": "sections in their order",
    "SS01": "there is a summary",
    "SS02": "it begins with a capital letter",
    "SS03": "it ends with a full stop",
    "SS04": "it is not indented",
    "SS06": "it is one line",
    "PR01": "all parameters are documented",
    "PR02": "no others are",
    "PR03": "in the order of the signature",
    "PR05": "a type does not end with a full stop",
    "PR06": "types have Python's names",
    "PR10": "there is a space before the colon",
    "RT01": "what is returned is said",
    "RT05": "ending with a full stop",
    "YD01": "what is yielded is said",
}
PACKAGES = [
    "skfair",
    *(info.name for info in pkgutil.iter_modules(skfair.__path__, "skfair.") if "._" not in info.name),
]


def own(obj):
    """Whether it is of this library: ``base`` also hands on a function of scikit-learn."""
    return str(getattr(obj, "__module__", "")).startswith("skfair") and (inspect.isclass(obj) or inspect.isroutine(obj))


def documented(cls):
    """Methods of a class of ours that users call: those whose docstring has sections."""
    for name, value in vars(cls).items():
        text = getattr(value, "__doc__", None) or ""  # not what is inherited
        if not name.startswith("_") and re.search(r"^ *(Parameters|Returns)\n *-+", text, flags=re.MULTILINE):
            yield name


def undocumented(cls):
    """Parameters of a net that its docstring lacks, and those that it names in ``**kwargs`` for the others."""
    text = inspect.getdoc(cls)
    section = re.search(r"^Parameters\n-+\n(.*?)(^\w[\w ]*\n-+\n|\Z)", text, flags=re.DOTALL | re.MULTILINE)
    lines = re.findall(r"^(\S[^:\n]*?)(?: :|$)", section.group(1) if section else "", flags=re.MULTILINE)
    known = {name for line in lines for name in line.split(", ")}
    for base in re.findall(r":class:`skfair\.base\.(\w+)`", section.group(1) if section else ""):
        known |= set(inspect.signature(getattr(skfair.base, base)).parameters)
    return set(inspect.signature(cls).parameters) - known


def faults(name, obj):
    """{check: message} of one docstring."""
    found = {code: text for code, text in validate(name)["errors"] if code in CHECKS}
    if inspect.isclass(obj) and issubclass(obj, BaseNet) and "**kwargs" in inspect.getdoc(obj):  # merged signatures
        found = {code: text for code, text in found.items() if code not in ("PR01", "PR02", "PR03")}
        lacking = undocumented(obj)
        return found | ({"PR01": f"Parameters {lacking} not documented"} if lacking else {})
    if inspect.isclass(obj) and "Attributes\n---" in inspect.getdoc(obj):  # what is given may be listed as what is kept
        attributes = set(re.findall(r"^(\w+) :", inspect.getdoc(obj), flags=re.MULTILINE))
        if set(re.findall(r"'(\w+)'", found.get("PR01", ""))) <= attributes:
            found.pop("PR01", None)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings(package):
    module = importlib.import_module(package)
    found = {}
    for name in module.__all__:
        obj = getattr(module, name)
        if not own(obj):
            continue
        found[name] = faults(f"{package}.{name}", obj)
        if inspect.isclass(obj):
            for method in documented(obj):
                found[f"{name}.{method}"] = faults(f"{package}.{name}.{method}", getattr(obj, method))
    assert {name: fault for name, fault in found.items() if fault} == {}
