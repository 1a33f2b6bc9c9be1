"""Markdown with formulas as HTML: LaTeX between dollars becomes MathML, which needs no script."""

from __future__ import annotations

import html
from typing import Any

from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

MATH = """
    math mfrac mi mn mo mover mpadded mphantom mroot mrow mspace msqrt mstyle msub msubsup msup
    mtable mtd mtext mtr munder munderover
"""
SETTING = """
    accent accentunder columnalign columnlines columnspacing display displaystyle fence form height
    largeop linethickness lspace mathsize mathvariant maxsize minsize movablelimits rowspacing
    rspace scriptlevel separator stretchy symmetric width
"""
MATH_TAGS = frozenset(MATH.split())
MATH_ATTRIBUTES = frozenset(SETTING.split())
"""Attributes of MathML that only say how a formula is set."""


def mathml(latex: str, display: str = "inline") -> str:
    """Return a formula as MathML, or as it was written where it is no formula.

    Parameters
    ----------
    latex
        The formula without its dollars.
    display
        ``inline`` in a line of text, ``block`` in a line of its own.
    """
    try:
        formula = str(convert(latex, display=display))
    except Exception:  # the converter raises many kinds, some of them bare
        formula = ""
    # a command that the converter does not know comes back as a name with its backslash
    if not formula or ">\\" in formula:
        sign = "$$" if display == "block" else "$"
        return f"<code>{html.escape(sign + latex + sign)}</code>"
    return formula


def to_html(markdown: str, attachments: dict[str, dict[str, str]] | None = None) -> str:
    """Return markdown as HTML with formulas as MathML; what it contains is not cleaned yet."""
    renderer = _Renderer(escape=False, exclude_anchor_links=True, attachments=attachments)
    return str(MarkdownWithMath(renderer=renderer).render(markdown))


class _Renderer(IPythonRenderer):
    """What nbconvert makes of markdown, with formulas that a browser can set by itself."""

    def inline_math(self, body: str) -> str:
        """Return ``$…$`` as MathML."""
        return mathml(body)

    def block_math(self, body: str) -> str:
        """Return ``$$…$$`` as MathML in a line of its own."""
        return mathml(body.strip(), "block")

    def latex_environment(self, name: str, body: str) -> str:
        """Return an environment such as ``align`` as MathML."""
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block")

    def image(self, text: str, url: str, title: str | None = None, **_: Any) -> str:
        """Return a picture; one that is attached to no cell keeps its address, to be named."""
        name = url.removeprefix("attachment:")
        if name != url and name not in self.attachments:
            return str(super().image(text, name, title))
        return str(super().image(text, url, title))
