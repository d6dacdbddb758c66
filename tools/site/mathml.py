"""A Sphinx extension: formulas become MathML while the site is built, so a page needs no script for them."""

from docutils import nodes
from latex2mathml.converter import convert


def visit_math(writer, node):
    """Write a formula that stands in a sentence."""
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def visit_math_block(writer, node):
    """Write a formula that stands by itself; a wide one scrolls."""
    writer.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Register the renderer under the name that conf.py asks for."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
