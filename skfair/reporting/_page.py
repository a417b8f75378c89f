"""A page of HTML that needs nothing else: no script, no font, no request. All text is escaped here."""

import html
from typing import NamedTuple

import numpy as np

from skfair.reporting._words import shown

__all__ = ["Number", "Section", "figure", "figures", "heading", "items", "notes", "page", "paragraph", "table"]

CSS = """
:root{color-scheme:light dark;--paper:#fff;--soft:#f4f6f8;--ink:#1b2430;--dim:#556170;--line:#d5dbe2;--accent:#1f5fa8;
--warn:#8a4b00;--warn-paper:#fff5e3;--warn-line:#e8a33d;
--c1:#1f6fb4;--c2:#d9730d;--c3:#17855f;--c4:#a33c78;--c5:#6b5ac2;--c6:#6e6418;--c7:#7a8591}
@media screen and (prefers-color-scheme:dark){:root{--paper:#14181d;--soft:#1d232a;--ink:#e3e8ee;--dim:#a0abb8;
--line:#38424d;--accent:#7db7f0;--warn:#f4c982;--warn-paper:#2b2315;--warn-line:#a8742a;
--c1:#62aef0;--c2:#f29a4a;--c3:#4cc79b;--c4:#e486bb;--c5:#a99bf5;--c6:#cfc25a;--c7:#93a0ad}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif;overflow-wrap:break-word}
.page{max-width:84rem;margin:0 auto;padding:2rem 1.5rem 3rem}
header{border-bottom:3px solid var(--accent);padding-bottom:1rem;margin-bottom:1.5rem}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .4rem;overflow-wrap:anywhere}
h2{font-size:1.3rem;margin:0 0 .6rem;padding-top:1.2rem;overflow-wrap:anywhere}
h3{font-size:1.02rem;margin:1.4rem 0 .4rem;overflow-wrap:anywhere}
p,ul,ol{margin:.4rem 0 .8rem}main>section>p,main>section>ul{max-width:54rem}li{margin:.2rem 0}
header p{color:var(--dim);margin:.2rem 0;max-width:54rem}
a{color:var(--accent)}
nav h2{font-size:.8rem;letter-spacing:.06em;text-transform:uppercase;color:var(--dim);padding:0;margin:0 0 .4rem}
nav ol{margin:0;padding-left:1.3rem}nav a{text-decoration:none}nav a:hover{text-decoration:underline}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.3rem,1fr));gap:.6rem;margin:0 0 1rem}
.cards div{background:var(--soft);border-radius:6px;padding:.6rem .75rem;border-left:4px solid var(--accent)}
.cards dt{font-size:.8rem;color:var(--dim);line-height:1.3}
.cards dd{margin:.15rem 0 0;font-size:1.25rem;font-weight:600;line-height:1.2;font-variant-numeric:tabular-nums}
.cards small,td small{display:block;font-weight:400;color:var(--dim);font-size:.78rem}
.notes{background:var(--warn-paper);border-left:4px solid var(--warn-line);border-radius:6px;padding:.6rem 1rem;
margin:0 0 1rem;max-width:54rem}
.notes h3{margin:.1rem 0 .3rem;color:var(--warn)}.notes ul{margin:.2rem 0;padding-left:1.2rem}
.scroll{overflow:auto;margin:.6rem 0 1.2rem;border:1px solid var(--line);border-radius:6px}
.tall{max-height:36rem}
table{border-collapse:collapse;width:100%;font-size:.88rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:.5rem .7rem;color:var(--dim);caption-side:top}
th,td{padding:.35rem .55rem;text-align:left;vertical-align:top;border-top:1px solid var(--line)}
thead th{position:sticky;top:0;background:var(--soft);border-top:0;vertical-align:bottom;font-weight:600}
tbody th{font-weight:500;min-width:7rem;max-width:24rem;overflow-wrap:anywhere}
td.text{max-width:40rem;overflow-wrap:anywhere}
th.number,td.number{text-align:right}td.number{white-space:nowrap}
tr.total th,tr.total td{border-top:2px solid var(--dim);font-weight:600}tr.total small{font-weight:400}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,23rem),1fr));gap:1rem 1.4rem;margin:.8rem 0}
figure{margin:0;min-width:0}figure svg{display:block;width:100%;height:auto}
figure svg text{font-family:inherit!important}
figcaption{font-size:.83rem;color:var(--dim);margin-top:.25rem;max-width:34rem}
dl.terms{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.25rem 1rem;margin:.4rem 0 1rem}
dl.terms dt{color:var(--dim)}dl.terms dd{margin:0;overflow-wrap:anywhere;min-width:0}
dl.code dd{font:.85rem/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
footer{margin-top:2rem;border-top:1px solid var(--line);padding-top:.8rem;color:var(--dim);font-size:.83rem}
@media (min-width:70rem){.columns{display:grid;grid-template-columns:13rem minmax(0,1fr);gap:2.5rem}
nav{position:sticky;top:1rem;align-self:start;font-size:.9rem}}
@media (max-width:40rem){.page{padding:1rem .8rem 2rem}h1{font-size:1.5rem}th,td{padding:.3rem .45rem}
dl.terms{grid-template-columns:1fr;gap:0}dl.terms dd{margin-bottom:.4rem}}
@media print{body{font-size:10pt}.page{max-width:none;padding:0}.columns{display:block}nav{position:static}
.scroll{max-height:none;overflow:visible;border:0}thead th{position:static}h2,h3{break-after:avoid}
figure,tr,.notes,.cards{break-inside:avoid}a{color:inherit}}
"""
# Even if a text were not escaped, a browser would run nothing and fetch nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Number(NamedTuple):
    """A cell with an estimate and its interval."""

    estimate: float
    low: float = np.nan
    high: float = np.nan
    sign: str = ""


class Section(NamedTuple):
    key: str
    title: str
    body: str


def escape(text):
    return html.escape(str(text))


def paragraph(text):
    return f"<p>{escape(text)}</p>"


def heading(text):
    return f"<h3>{escape(text)}</h3>"


def items(texts):
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>" if texts else ""


def notes(title, texts):
    """What a reader has to know, in a box; nothing where there is nothing."""
    return f'<div class="notes" role="note">{heading(title)}{items(texts)}</div>' if texts else ""


def terms(pairs, kind="terms"):
    return f'<dl class="{kind}">' + "".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in pairs) + "</dl>"


def cards(triples):
    """Numbers in large type: (what, number, what stands below it)."""
    parts = (
        f"<div><dt>{escape(a)}</dt><dd>{escape(b)}{f'<small>{escape(c)}</small>' if c else ''}</dd></div>"
        for a, b, c in triples
    )
    return f'<dl class="cards">{"".join(parts)}</dl>'


def figure(svg, caption):
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def figures(parts):
    return f'<div class="plots">{"".join(parts)}</div>'


def table(columns, rows, caption, *, n_heads=1, total=False):
    """Rows of texts, integers and Numbers; the first ``n_heads`` cells name the row; the last row may be a total."""
    numeric = [bool(rows) and not isinstance(rows[0][j], str) for j in range(len(columns))]
    head = "".join(f'<th scope="col"{_number(numeric[j])}>{escape(column)}</th>' for j, column in enumerate(columns))
    body = "".join(
        f"<tr{_total(total and i == len(rows) - 1)}>{''.join(_cell(cell, j < n_heads) for j, cell in enumerate(row))}</tr>"
        for i, row in enumerate(rows)
    )
    kind, label = "scroll tall" if len(rows) > 25 else "scroll", escape(caption)
    return (
        f'<div class="{kind}" tabindex="0" role="region" aria-label="{label}"><table><caption>{label}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _number(numeric):
    return ' class="number"' if numeric else ""


def _total(total):
    return ' class="total"' if total else ""


def _cell(cell, is_head):
    if is_head:
        return f'<th scope="row"{_number(not isinstance(cell, str))}>{escape(cell)}</th>'
    if isinstance(cell, str):
        return f'<td class="text">{escape(cell)}</td>'
    if not isinstance(cell, Number):
        return f'<td class="number">{cell:,}</td>'
    text = shown(cell.estimate, sign=cell.sign)
    whole = shown(*cell)
    small = f"<small>{escape(whole[len(text) + 1 :])}</small>" if whole != text else ""
    return f'<td class="number">{escape(text)}{small}</td>'


def page(title, lead, sections, footer):
    """The document; ``lead`` are paragraphs below the title."""
    contents = "".join(f'<li><a href="#{s.key}">{escape(s.title)}</a></li>' for s in sections)
    body = "".join(
        f'<section id="{s.key}" aria-labelledby="{s.key}-title"><h2 id="{s.key}-title">{escape(s.title)}</h2>{s.body}'
        "</section>"
        for s in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        f'<div class="page"><header><h1>{escape(title)}</h1>{"".join(map(paragraph, lead))}</header>\n'
        f'<div class="columns"><nav aria-label="Contents"><h2>Contents</h2><ol>{contents}</ol></nav>\n'
        f"<main>{body}</main></div>\n"
        f"<footer>{paragraph(footer)}</footer></div>\n</body>\n</html>\n"
    )
