"""Finding and reading notebooks: what the other scripts share."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

DIRECTIVE = re.compile(r"^\s*#\s*\|\s*(.+?)\s*$")  # a line such as `#| export`


class NotebookError(Exception):
    """Something in a notebook that its author has to change."""


@dataclass
class CodeCell:
    """A code cell, its directives taken apart from its code."""

    number: int  # its place among all cells of the notebook, from 1
    source: str  # all its text
    directives: dict  # {"pytest": "NAME", "slow": ""}: the first word of each `#|` line, and what follows
    body: str  # the text without the directive lines
    raw: dict = field(repr=False)  # the cell as the file has it: outputs, execution_count, ...


def find_notebooks(
    root: Path,  # the repository
) -> list[Path]:  # sorted; every notebook under nbs/, however deep
    """Find the notebooks, leaving out folders that Jupyter, nbdev or quarto made (`.name`, `_name`)."""
    nbs = Path(root) / "nbs"
    found = nbs.rglob("*.ipynb")
    return sorted(p for p in found if not any(part[0] in "._" for part in p.relative_to(nbs).parent.parts))


def read_notebook(path: Path) -> dict:
    """Return the notebook as the JSON says it."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def text_of(
    value,  # str or list of str: a notebook stores text both ways
) -> str:
    """Join text that may be stored as a list of lines."""
    return value if isinstance(value, str) else "".join(value)


def split_directives(
    source: str,  # a code cell's text
) -> tuple[dict, str]:  # directives by name, and the text below them
    """Take the `#| name value` lines off the top of a cell; below the first line of code nbdev reads none."""
    lines = source.splitlines(keepends=True)
    directives, start = {}, 0
    for line in lines:
        match = DIRECTIVE.match(line)
        if not match and line.strip():
            break
        if match:
            name, _, value = match[1].partition(" ")
            directives[name.rstrip(":")] = value.strip()
        start += 1
    return directives, "".join(lines[start:])


def code_cells(notebook: dict) -> list[CodeCell]:
    """Return the code cells in their order."""
    cells = []
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] == "code":
            source = text_of(cell["source"])
            cells.append(CodeCell(number, source, *split_directives(source), raw=cell))
    return cells


def default_module(notebook: dict) -> str | None:
    """Return the module that `#| default_exp` names, such as "blocks", or None."""
    for cell in code_cells(notebook):
        if "default_exp" in cell.directives:
            return cell.directives["default_exp"]
    return None
