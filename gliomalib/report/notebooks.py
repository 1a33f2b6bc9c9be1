"""An executed notebook as one piece of HTML that needs nothing from anywhere else.

Formulas become MathML, which needs no script; ``cleaning`` has the say over any other HTML.
"""

import html
import json
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

import nbformat
from latex2mathml.converter import convert
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbformat import NotebookNode, ValidationError
from nbformat.reader import NotJSONError
from pydantic import BaseModel, Field, FiniteFloat
from traitlets.config import Config

from gliomalib.provenance import PACKAGE_DIR
from gliomalib.report import drawings, phrases
from gliomalib.report.cleaning import clean
from gliomalib.schema import RecordError

TEMPLATES = PACKAGE_DIR / "report" / "templates"
KEPT_TYPES = [
    *("text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg"),
    *("text/latex", "text/plain"),
]
"""Output types in order of preference: no scripts and no widgets, which would need a server."""

DAMAGED = (
    *(NotJSONError, ValidationError, ValueError, AttributeError, LookupError, TypeError, OSError),
    *(AssertionError, RecursionError),
)
"""What nbformat raises for a file that is no notebook."""


class _Timed(BaseModel):
    duration: FiniteFloat | None = None


class _Said(BaseModel):
    papermill: _Timed = _Timed()


class _Shown(BaseModel):
    png: dict[str, Any] = Field({}, alias="image/png")
    jpeg: dict[str, Any] = Field({}, alias="image/jpeg")
    svg: dict[str, Any] = Field({}, alias="image/svg+xml")


class _Output(BaseModel):
    metadata: _Shown = Field(default_factory=_Shown)


class _Cell(BaseModel):
    metadata: _Said
    outputs: list[_Output] = []


class _Notebook(BaseModel):
    """What a page reads of a notebook and its format leaves open."""

    metadata: _Said
    cells: list[_Cell]


def read(path: str | Path) -> NotebookNode:
    """Return an executed notebook. Raises ``RecordError`` where the file is missing or damaged."""
    path = Path(path)
    try:
        notebook: NotebookNode = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        _Notebook.model_validate(notebook)
        # JSON can hold half a character, which no page can
        json.dumps(notebook, ensure_ascii=False).encode()
    except DAMAGED:
        raise RecordError(f"notebooks/{path.name}: the file is damaged; run it again") from None
    return notebook


def body(
    notebook: NotebookNode, number: str, pages: Collection[str], command: str, device: str = ""
) -> str:
    """Return the cells of an executed notebook as HTML without scripts or outside addresses.

    ``number`` names the notebook in the text that stands for a picture; ``pages`` are the
    notebooks that have a page of their own, so that links between notebooks lead there;
    the ``command`` that makes it again on this ``device`` stands below every figure and table.
    """
    resources = {"number": number, "pages": tuple(pages), "command": command, "device": device}
    page, _ = _exporter().from_notebook_node(notebook, resources=resources)
    return str(page)


@lru_cache
def _exporter() -> HTMLExporter:
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="notebook_cells",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_anchor_links=True,
        # a log comes line by line: as one piece it can be folded
        preprocessors=[CoalesceStreamsPreprocessor],
        config=Config(
            {
                "NbConvertBase": {"display_data_priority": KEPT_TYPES},
                "CoalesceStreamsPreprocessor": {"enabled": True},
            }
        ),
    )
    functions = (clean, shown_type, has_result, phrases.duration, phrases.device, drawings.inline)
    for function in functions:
        exporter.register_filter(function.__name__, function)  # type: ignore[no-untyped-call]
    exporter.register_filter("markdown", to_html)  # type: ignore[no-untyped-call]
    return exporter


def shown_type(output: Any) -> str:
    """Return the preferred type of an output, or an empty text where none can be shown."""
    return next((kind for kind in KEPT_TYPES if kind in output.get("data", {})), "")


def has_result(outputs: Collection[Any]) -> bool:
    """Return whether a figure or a table is among the outputs of a cell."""
    shown = [(kind, output.data[kind]) for output in outputs if (kind := shown_type(output))]
    return any(k.startswith("image/") or (k == "text/html" and "<table" in t) for k, t in shown)


def mathml(latex: str, display: str = "inline") -> str:
    """Return a formula (without its dollars) as MathML, or as it was written if it is none.

    ``display`` is ``inline`` in a line of text, ``block`` in a line of its own.
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


def to_html(markdown: str) -> str:
    """Return markdown as HTML with formulas as MathML; what it contains is not cleaned yet."""
    renderer = _Renderer(escape=False, exclude_anchor_links=True)
    return str(MarkdownWithMath(renderer=renderer).render(markdown))


class _Renderer(IPythonRenderer):
    """What nbconvert makes of markdown, with formulas as MathML: in a line, alone, or ``align``."""

    def inline_math(self, body: str) -> str:
        """Return mathematics within a line."""
        return mathml(body)

    def block_math(self, body: str) -> str:
        """Return mathematics on a line of its own."""
        return mathml(body.strip(), "block")

    def latex_environment(self, name: str, body: str) -> str:
        """Return a LaTeX environment, which is mathematics too."""
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block")
