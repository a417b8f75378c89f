"""How sphinx builds these pages: ``make docs``. With ``SKFAIR_GALLERY=1`` (``make gallery``) the examples are run as well.

The pages are written to be read on GitHub too. What the site needs besides is added here: the table of contents, from the
links of ``index.md``; the pages that lie outside ``docs/``; and the API, from each package's ``__all__``.
"""

import importlib
import inspect
import os
import pkgutil
import re
import sys
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

import skfair  # noqa: E402

project = "skfair"
author = "the authors of skfair"
version = release = skfair.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # formulas are drawn without a network
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates", "whats_new", "sg_execution_times.rst"]
templates_path = ["_templates"]
suppress_warnings = ["config.cache"]  # a function among the settings (see autosummary_context) cannot be cached

# ---------------------------------------------------------------------- pages
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4
myst_linkify_fuzzy_links = False

html_theme = "pydata_sphinx_theme"
html_title = f"skfair {version}"
html_static_path = ["_static"]
html_css_files = ["skfair.css"]
html_show_sourcelink = False
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False, "navbar_center": []}
html_sidebars = {"index": [], "**": ["contents.html"]}
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

# ---------------------------------------------------------------------- API
autosummary_generate = True
autosummary_ignore_module_all = False  # a package's names are its __all__
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False  # the template of a class lists them
numpydoc_class_members_toctree = False

# methods of estimators that users call; all others are hooks, described in skfair.base
_CALLED = (
    "fit", "partial_fit", "fit_resample", "fit_transform", "transform", "inverse_transform", "predict", "predict_proba",
    "decision_function", "encode", "decode", "sample", "save",
)  # fmt: skip
_HOOKS = ("check_parameters", "objective", "prepare", "complete", "make_state", "backward", "forward")


def shown_members(fullname):
    """The methods and properties of a class that its page shows, in the order of reading."""
    package, name = fullname.rsplit(".", 1)
    cls = getattr(importlib.import_module(package), name)
    parents = [parent for parent in cls.__mro__ if parent.__module__.startswith("skfair")]
    if package == "skfair.base":
        parents = [cls]
    elif hasattr(cls, "get_params"):
        parents = [parent for parent in parents if not parent.__module__.startswith("skfair.base")]
    names = dict.fromkeys(key for parent in parents for key, value in vars(parent).items() if _documented(key, value))
    if package == "skfair.base" or not hasattr(cls, "get_params"):
        return [key for key in names if key not in _HOOKS or package == "skfair.base"]
    called = [(key, inspect.getattr_static(cls, key, None)) for key in _CALLED]  # a property there is a refusal
    called = [key for key, value in called if _documented(key, value) and not isinstance(value, property)]
    return called + [key for key in names if key not in called and _has_sections(getattr(cls, key))]


def _documented(key, value):
    ours = not key.startswith("_") and not re.fullmatch(r"set_\w+_request", key)  # these are scikit-learn's
    return ours and (callable(value) or hasattr(value, "__get__")) and bool(inspect.getdoc(value))


def _has_sections(value):
    return bool(re.search(r"^\s*(Parameters|Returns)\n\s*-{4}", value.__doc__ or "", re.MULTILINE))


autosummary_context = {"shown_members": shown_members}


# ---------------------------------------------------------------------- gallery
_READING_ORDER = (
    "quickstart", "plot_grid_search", "plot_six_methods", "plot_model_card", "plot_colored_digits", "plot_without_groups",
    "plot_rnf_meps", "plot_rnf_frontier", "plot_dvge_south_german", "plot_latent_leakage", "plot_reprogramming",
    "plot_attention_text", "plot_attention_maps", "plot_resampling", "search_with_optuna",
)  # fmt: skip


def reading_order(path):
    """Sort key of the gallery."""
    return _READING_ORDER.index(Path(path).stem)


sphinx_gallery_conf = {
    "examples_dirs": [str(ROOT / "examples")],
    "gallery_dirs": ["auto_examples"],
    "plot_gallery": "True" if os.environ.get("SKFAIR_GALLERY") == "1" else "False",
    "filename_pattern": "",  # all of them
    "within_subsection_order": reading_order,
    "capture_repr": (),  # what is printed, no value of a last line
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_signature": False,
    "abort_on_example_error": True,
}

# ---------------------------------------------------------------------- what lies outside docs/
_OUTSIDE = {  # links as they are on GitHub -> pages of the site
    "../CONTRIBUTING.md": "generated/contributing.md",
    "CONTRIBUTING.md": "generated/contributing.md",
    "whats_new/": "generated/whats_new.md",
    "docs/whats_new/": "generated/whats_new.md",
    "../README.md": "index.md",
}


def _relinked(text):
    """A page's links, as the site needs them; seen from ``docs/``."""

    def target(match):
        link = match.group(1)
        return f"]({_OUTSIDE.get(link, link.removeprefix('docs/'))})"

    return re.sub(r"\]\(([^)#\s]+)\)", target, text)


def _write(path, text):
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text() != text:  # an untouched page is not read again
        path.write_text(text)


def write_pages():
    """Copies of CONTRIBUTING.md and of the fragments of what is new, in ``docs/generated``; no pages of old names."""
    public = set(_all_names())
    for page in (HERE / "api" / "generated").glob("*.rst"):
        if page.stem not in public:
            page.unlink()
    text = (ROOT / "CONTRIBUTING.md").read_text()
    _write(HERE / "generated" / "contributing.md", re.sub(r"\]\(docs/", "](../", text))
    fragments = [file.read_text().strip() for file in sorted((HERE / "whats_new").glob("*.md"))]
    fragments = [re.sub(r"^#", "##", text, flags=re.MULTILINE) for text in fragments]
    text = "# What is new\n\n" + "\n\n".join(fragments) + "\n"
    _write(HERE / "generated" / "whats_new.md", re.sub(r"\]\(\.\./(?!\.\.)", "](../", text))


def read_page(app, docname, source):
    """Put the README at the head of the start page, tables of contents at its end, and links under public names."""
    if docname.startswith(("api/", "auto_examples/")):
        return
    if docname == "index":
        readme = (ROOT / "README.md").read_text().split("\n## More\n")[0]
        listed = source[0][source[0].index("## ") :]
        source[0] = readme + "\n" + listed + "\n" + contents(listed)
    if not docname.startswith("generated/"):
        source[0] = _relinked(source[0])
    source[0] = _with_names(source[0])


def _all_names():
    """The full names of all packages and of what is public in them."""
    for info in [SimpleNamespace(name="skfair"), *pkgutil.iter_modules(skfair.__path__, "skfair.")]:
        if "._" not in info.name:
            yield info.name
            yield from (f"{info.name}.{name}" for name in importlib.import_module(info.name).__all__)


def _public():
    """{name: its full name}, of what is unmistakable in running text: names with a capital letter or an underscore."""
    pairs = (full.rsplit(".", 1)[::-1] for full in _all_names() if "." in full)
    return {name: f"{package}.{name}" for name, package in pairs if package != "skfair" and re.search("[A-Z_]", name)}


def _with_names(text):
    """Public names in backticks become links to their pages, outside code blocks, headings and other links."""
    names = _public()

    def linked(match):
        name = match.group(1)
        return f"{{py:obj}}`{name} <{names[name]}>`" if name in names else match.group(0)

    lines, code = [], False
    for line in text.split("\n"):
        code ^= line.startswith("```")
        plain = code or line.startswith(("```", "#", "    "))
        lines.append(line if plain else re.sub(r"(?<![\[`}])`(\w+)`(?!`)", linked, line))
    return "\n".join(lines)


def contents(text):
    """Tables of contents of a page's links, one per heading, as sphinx reads them."""
    tables = []
    for part in re.split(r"^## ", text, flags=re.MULTILINE):
        pages = [_OUTSIDE.get(link, link) for link in re.findall(r"^- \[[^]]*\]\(([^)]+)\)", part, flags=re.MULTILINE)]
        pages = [page.removesuffix(".md") for page in pages if page != "index.md"]
        if pages:
            caption = part.split("\n", 1)[0]
            tables.append("\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""]))
    tables.append("```{toctree}\n:hidden:\n:caption: Examples\n\nauto_examples/index\n```\n")
    return "\n".join(tables)


def shorten(app, what, name, obj, options, lines):
    """Of what is scikit-learn's own the first sentence: the rest refers to pages that are not here."""
    if str(getattr(obj, "__module__", "")).startswith("sklearn") and "" in lines:
        lines[lines.index("") :] = ["", "It is scikit-learn's own."]


def setup(app):
    app.connect("autodoc-process-docstring", shorten, priority=100)
    app.connect("config-inited", lambda app, config: write_pages())
    app.connect("source-read", read_page)
