"""A figure of matplotlib as SVG that lies in a page: its colours and its type are the page's own.

``Figure`` is used without pyplot, so that no figure of the user's is touched, and no window system is needed.
"""

import html
import io
import re
import warnings

__all__ = ["FAINT", "INK", "PAPER", "SERIES", "draw"]

# Colours of no meaning, which the page's own take the place of: so that a plot is legible in a dark page as well.
INK, FAINT, PAPER = "#01fe01", "#01fe02", "#01fe03"
SERIES = [f"#01fe1{i}" for i in range(1, 8)]
_OF_THE_PAGE = {INK: "ink", FAINT: "line", PAPER: "paper", **{c: f"c{i}" for i, c in enumerate(SERIES, 1)}}
_STYLE = {
    "svg.fonttype": "none",  # text stays text: any script, and found by a search in the page
    "svg.hashsalt": "skfair",  # equal plots are equal to the byte
    "text.parse_math": False,  # a dollar in a name is a dollar
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.grid": True,
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "lines.linewidth": 1.4,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "grid.color": FAINT,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "lines.color"), INK
    ),
}


def draw(paint, alt, *, width=4.4, height=3.0):
    """The SVG of what ``paint(axes)`` paints, with a text for those who do not see it."""
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("skfair.reporting needs matplotlib: pip install 'skfair[report]'.") from error
    with style.context(["default", _STYLE]), warnings.catch_warnings():
        # the page is set in the reader's fonts; matplotlib's own only measure
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure.subplots())
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return _inline(file.getvalue(), alt)


def _inline(text, alt):
    start = re.search(r"<svg\b[^>]*>", text)
    box = re.search(r'viewBox="([^"]*)"', start.group()).group(1)
    body = re.sub(r'<g id="[^"]*"', "<g", text[start.end() :])  # ids that each plot would repeat
    body = re.sub(r'style="[^"]*"', _in_the_page_s_colours, body)
    width = round(float(box.split()[2]) * 96 / 72)
    return (
        f'<svg role="img" aria-label="{html.escape(alt)}" viewBox="{box}" style="max-width:{width}px" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns="http://www.w3.org/2000/svg">{body.strip()}'
    )


def _in_the_page_s_colours(style):
    return re.sub(r"#01fe\w\w", lambda found: f"var(--{_OF_THE_PAGE[found.group()]})", style.group())
