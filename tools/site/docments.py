"""A Sphinx extension: comments on parameters, and the help of command-line options, become parameter lists.

Docstrings here are sentences with `code` in single backquotes and indented examples, not reStructuredText.
"""

import inspect
import re
from dataclasses import is_dataclass
from functools import cache
from typing import Annotated, get_args, get_origin

from fastcore.docments import docments

CODE = re.compile(r"(`[^`\n]+`)")
MARKUP = re.compile(r"([\\*|]|_(?!\w))")  # what reStructuredText would take for markup


def escape(text: str) -> str:
    """Escape markup outside of `code`."""
    parts = CODE.split(text)  # every second part is code
    parts[::2] = [MARKUP.sub(r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [rf"\ `{part}`\ " for part in parts[1::2]]  # the code may touch a letter, as in `Layer`s
    return "".join(parts)


def to_rst(lines: list[str]) -> list[str]:
    """Turn a docstring into reStructuredText: indented paragraphs are examples, the rest is prose."""
    made = []
    for before, line in zip(["", *lines], lines):
        example = line.startswith("    ")
        if example and not before.strip():
            made += [".. code-block:: python", ""]
        made.append(line if example else escape(line))
    return made


def documented(thing) -> bool:
    """Is this a function, or a class with parameters of its own?"""
    return inspect.isroutine(thing) or is_dataclass(thing) or "__init__" in vars(thing)


@cache
def comments(
    thing,  # function or class
) -> dict:  # name of a parameter, or "return" -> what its comment or its option says
    """Read the comments on parameters, and the help of options."""
    if not documented(thing):
        return {}
    found = {name: comment for name, comment in docments(thing).items() if comment}
    for name, kind in getattr(thing, "__annotations__", {}).items():
        if get_origin(kind) is Annotated and getattr(get_args(kind)[1], "help", None):
            found[name] = get_args(kind)[1].help
    return found


def simplify_annotations(app, thing, bound_method):
    """Leave the type of an option, and drop its description, which the signature could not show."""
    annotations = getattr(thing, "__annotations__", {}) if inspect.isroutine(thing) else {}
    if any(get_origin(kind) is Annotated for kind in annotations.values()):
        if thing.__name__ != "__init__":
            comments(thing)  # reads the descriptions first; those of a dataclass stay with the class
        for name, kind in annotations.items():
            annotations[name] = get_args(kind)[0] if get_origin(kind) is Annotated else kind


def add_parameters(app, what, name, thing, options, lines):
    """Write the docstring as reStructuredText, with the list of parameters below it."""
    lines[:] = to_rst(lines)
    if what not in ("function", "class", "method", "exception"):
        return
    found = dict(comments(thing))
    result = found.pop("return", None)
    fields = [f":param {key}: {escape(' '.join(text.split()))}" for key, text in found.items()]
    fields += [f":returns: {escape(' '.join(result.split()))}"] if result else []
    lines += ["", *fields, ""] if fields else []


def setup(app):
    """Connect to autodoc."""
    app.connect("autodoc-before-process-signature", simplify_annotations)
    app.connect("autodoc-process-docstring", add_parameters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
