"""What a committed notebook must look like, beside being in step with what is made from it."""

import re
from pathlib import Path

from notebooks import CodeCell, code_cells, read_notebook, text_of

SIZE_LIMIT = 1_000_000  # bytes, stored figures included
MACHINE_PATH = re.compile(r"(?<![\w.])/(root|work|tmp|home)/\S*")
BASE64 = re.compile(r"base64,[A-Za-z0-9+/=]+")  # an image written into HTML


def output_text(output: dict) -> str:
    """Join all the text of a stored output; images are left out."""
    texts = [output.get("text", "")]
    texts += [
        data
        for kind, data in output.get("data", {}).items()
        if kind.startswith("text/") or kind == "image/svg+xml"
    ]
    return BASE64.sub("", "\n".join(map(text_of, texts)))


def output_problems(cell: CodeCell) -> list[str]:
    """Does a cell store an error, or a path of the machine it ran on?"""
    problems = []
    for output in cell.raw.get("outputs", []):
        if output["output_type"] == "error":
            problems.append(
                f"cell {cell.number} stores an error ({output.get('ename', '')}): fix it and run again"
            )
        path = MACHINE_PATH.search(output_text(output))
        if path:
            problems.append(
                f"cell {cell.number} prints a path of this machine ({path[0]}): print a relative one"
            )
    return problems


def notebook_problems(
    path: Path,  # of a notebook
) -> list[str]:  # one line each: what is wrong and what would be right
    """Say what keeps a notebook from being committed."""
    cells = code_cells(read_notebook(path))
    problems = []
    for cell in cells:
        problems += output_problems(cell)
    size = path.stat().st_size
    if size > SIZE_LIMIT:
        problems.append(f"is {size:,} bytes: make its figures smaller, to stay under {SIZE_LIMIT:,}")
    return problems
