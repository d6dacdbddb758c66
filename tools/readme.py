"""Make README.md from nbs/index.ipynb."""

import posixpath
import re
from pathlib import Path

from notebooks import NotebookError, code_cells, read_notebook, text_of

HEAD = "<!-- Made from nbs/index.ipynb by tools/export.py. Edit the notebook, not this file. -->\n"
FENCE = re.compile(r"^\s*(```|~~~)")
CODE = re.compile(r"(`+[^`]+`+)")  # code within a line
LINK = re.compile(
    r"(\]\(\s*|\b(?:src|href)=[\"']|^\s*\[[^\]]+\]:\s*)([^\s)\"'>]+)"
)  # before the address, the address
ELSEWHERE = re.compile(r"^([a-z][a-z0-9+.-]*:|//|#|/)", re.IGNORECASE)  # not a file of the tree
HIDDEN = {"hide", "default_exp", "export", "exporti", "exports"}  # cells that the README leaves out


def move_link(match: re.Match) -> str:
    """Rewrite one address, written from nbs/, as seen from the root of the tree."""
    before, address = match[1], match[2]
    if ELSEWHERE.match(address):
        return match[0]
    return before + posixpath.normpath(posixpath.join("nbs", address))


def move_links(markdown: str) -> str:
    """Rewrite all relative links of some markdown; code stays as it is."""
    moved, in_code = [], False
    for line in markdown.splitlines():
        if FENCE.match(line):
            in_code = not in_code
        elif not in_code:
            parts = CODE.split(line)  # every second part is code
            parts[::2] = [LINK.sub(move_link, part) for part in parts[::2]]
            line = "".join(parts)
        moved.append(line)
    return "\n".join(moved)


def linked_files(markdown: str) -> list[str]:
    """List the files of the tree that some markdown links to."""
    files, in_code = [], False
    for line in markdown.splitlines():
        if FENCE.match(line):
            in_code = not in_code
        elif not in_code:
            files += [
                match[2].split("#")[0]
                for match in LINK.finditer(CODE.sub("", line))
                if not ELSEWHERE.match(match[2])
            ]
    return files


def fenced(text: str, language: str = "") -> str:
    """Put text in a code block."""
    return f"```{language}\n{text.rstrip()}\n```"


def joined(outputs: list[dict]) -> list[dict]:
    """Join printed text that came in several pieces."""
    whole = []
    for output in outputs:
        if whole and output["output_type"] == whole[-1]["output_type"] == "stream":
            output = {**output, "text": text_of(whole.pop()["text"]) + text_of(output["text"])}
        whole.append(output)
    return whole


def render_output(output: dict, where: str) -> str:
    """Write one stored output: printed text, a value or markdown. An image has to be a committed file."""
    if output["output_type"] == "stream":
        return fenced(text_of(output["text"]))
    data = output.get("data", {})
    if any(kind.startswith("image/") for kind in data):
        raise NotebookError(
            f"{where}: the README can't hold an image from an output: "
            "save it as a file and show it from a markdown cell"
        )
    if "text/markdown" in data:
        return move_links(text_of(data["text/markdown"])).strip()
    return fenced(text_of(data["text/plain"])) if "text/plain" in data else ""


def render_cell(cell: dict, number: int) -> list[str]:
    """Write one cell as blocks of markdown."""
    if cell["cell_type"] == "markdown":
        return [move_links(text_of(cell["source"])).strip()]
    if cell["cell_type"] != "code":
        return []
    code = code_cells({"cells": [cell]})[0]
    if not code.body.strip() or HIDDEN & code.directives.keys():
        return []
    where = f"nbs/index.ipynb, cell {number}"
    outputs = [render_output(output, where) for output in joined(cell.get("outputs", []))]
    if "hide_input" in code.directives:
        return outputs
    return [fenced(code.body, "python"), *outputs]


def render_readme(
    index: Path,  # nbs/index.ipynb
) -> str:
    """Return the text of README.md."""
    blocks = []
    for number, cell in enumerate(read_notebook(index)["cells"], 1):
        blocks += render_cell(cell, number)
    return "\n\n".join([HEAD.strip(), *filter(None, blocks)]) + "\n"
