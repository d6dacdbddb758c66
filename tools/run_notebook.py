"""Run notebooks in place, so that their stored outputs and figures are those of today's code, and clean them.

    python tools/run_notebook.py nbs/core/01_errors.ipynb ...

nbdev tests notebooks without storing what they print: that is why this file exists.
"""

import sys
import time
from pathlib import Path

import nbformat
from export import clean_notebook
from nbclient import NotebookClient
from notebooks import ROOT, split_directives, text_of

NOT_RUN = {"slow", "cuda"}  # flags of cells that are left as they are, as nbdev does


def left_out(cell: dict) -> bool:
    """Is this a code cell that nbdev does not run either?"""
    directives, _ = split_directives(text_of(cell["source"]))
    return bool(NOT_RUN & directives.keys()) or directives.get("eval", "").lower() == "false"


class Runner(NotebookClient):
    """A client that leaves out the cells that are flagged."""

    async def async_execute_cell(self, cell, cell_index, **options):
        """Run a cell, unless it is flagged."""
        if cell["cell_type"] == "code" and left_out(cell):
            return cell
        return await super().async_execute_cell(cell, cell_index, **options)


def run_in_place(path: Path) -> None:
    """Run one notebook from its own folder, and store it."""
    notebook = nbformat.read(path, as_version=4)
    Runner(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    ).execute()
    nbformat.write(notebook, path)
    clean_notebook(path)


def main() -> None:
    """Run the notebooks that the command line names."""
    for name in sys.argv[1:]:
        start, path = time.time(), Path(name).resolve()
        run_in_place(path)
        print(f"{time.time() - start:6.1f} s  {path.relative_to(ROOT)}", flush=True)


if __name__ == "__main__":
    main()
