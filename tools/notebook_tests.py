"""Turn the marked cells of a notebook into a pytest file.

In a notebook, the lines at the top of a code cell say what becomes of it here:

    #| pytest NAME      the cell becomes `def test_NAME():`
    #| pytest_setup     the cell is copied to the top of the file as it is (imports, helpers)
    #| slow             with `pytest NAME`: the test runs only under `pytest --slow`
    #| cuda             with `pytest NAME`: the test runs only under `pytest --cuda`

nbdev knows nothing of the first two and runs such a cell like any other.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

from notebooks import CodeCell, NotebookError, code_cells, default_module, read_notebook

FLAGS = ("slow", "cuda")  # as tst_flags in settings.ini
MARK = "Generated from"  # how the head of a generated file begins


def file_name(
    notebook: Path,  # path of the notebook
    nbs: Path,  # the folder of the notebooks
) -> str:  # "test_nb_01_blocks.py"; the folders in between are part of the name
    """Name the test file of a notebook."""
    parts = notebook.relative_to(nbs).with_suffix("").parts
    return "test_nb_" + "_".join(parts) + ".py"


def lines_inside_strings(source: str) -> set[int]:
    """Return the numbers (from 1) of the lines that begin inside a string."""
    inside, open_at = set(), []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "STRING":
            inside.update(range(token.start[0] + 1, token.end[0] + 1))
        elif kind.endswith("STRING_START"):  # from Python 3.12 an f-string is several tokens
            open_at.append(token.start[0])
        elif kind.endswith("STRING_END"):
            inside.update(range(open_at.pop() + 1, token.end[0] + 1))
    return inside


def indent(source: str) -> str:
    """Move code four spaces to the right; the lines of a multi-line string stay where they are."""
    inside = lines_inside_strings(source)
    lines = source.splitlines()
    return "\n".join(
        line if number in inside or not line.strip() else "    " + line
        for number, line in enumerate(lines, 1)
    )


def parse(cell: CodeCell, where: str) -> ast.Module:
    """Parse the cell, or say what in it is not Python."""
    try:
        return ast.parse(cell.body)
    except SyntaxError as error:
        if re.search(r"^\s*[%!]|=\s*[%!]", cell.body, re.MULTILINE):
            raise NotebookError(
                f"{where}: a test can't use magics (%) or shell lines (!): write it in Python"
            ) from None
        raise NotebookError(f"{where}: not Python ({error.msg}, line {error.lineno} of its code)") from None


def as_function(
    cell: CodeCell,
    name: str,  # of the test, without `test_`
    where: str,  # the cell in words, for errors
) -> str:
    """Write the cell as a test function, and make sure that it is still the same code."""
    tree = parse(cell, where)
    if not tree.body:
        raise NotebookError(f"{where}: a test needs code below its directives")
    function = f"def test_{name}():\n{indent(cell.body.strip())}\n"
    try:
        compile(function, where, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise NotebookError(f"{where}: can't stand inside a function ({error.msg})") from None
    if ast.dump(ast.Module(ast.parse(function).body[0].body, [])) != ast.dump(tree):
        raise NotebookError(f"{where}: indenting would change its meaning: write its strings on one line")
    marks = [f"@pytest.mark.{flag}\n" for flag in FLAGS if flag in cell.directives]
    return "".join(marks) + function


def check_directives(cell: CodeCell, where: str) -> None:
    """Refuse directives that would be lost or that contradict each other."""
    if re.search(r"^#\s*\|\s*pytest", cell.body, re.MULTILINE):
        raise NotebookError(f"{where}: `#| pytest` must come before the first line of code")
    marked = {"pytest", "pytest_setup"} & cell.directives.keys()
    exported = {"export", "exporti", "exports"} & cell.directives.keys()
    if len(marked) == 2:
        raise NotebookError(f"{where}: is both pytest and pytest_setup: choose one")
    if marked and exported:
        raise NotebookError(f"{where}: is both exported and a test: split it in two cells")


def check_name(name: str, taken: set, where: str) -> None:
    """Refuse a name that makes no function, or makes one twice."""
    if not name.isidentifier() or name.startswith("test_"):
        raise NotebookError(
            f"{where}: `#| pytest {name}` needs a name such as costs_of_a_block (without test_)"
        )
    if name in taken:
        raise NotebookError(f"{where}: the name {name} is taken by an earlier cell: choose another")


def render_tests(
    path: Path,  # of the notebook
    shown: str,  # the path as errors and the file's head print it: "nbs/01_blocks.ipynb"
    package: str = "moonshine",
) -> str | None:  # the text of the test file; None if no cell is marked
    """Write the pytest file of one notebook."""
    notebook = read_notebook(path)
    setup, tests = [], {}
    for cell in code_cells(notebook):
        where = f"{shown}, cell {cell.number}"
        check_directives(cell, where)
        if "pytest_setup" in cell.directives:
            parse(cell, where)
            setup.append(cell.body.strip() + "\n")
        elif "pytest" in cell.directives:
            name = cell.directives["pytest"]
            check_name(name, tests.keys(), where)
            tests[name] = as_function(cell, name, where)
    if not tests:
        if setup:
            raise NotebookError(
                f"{shown}: has a pytest_setup cell but no `#| pytest NAME` cell: add one or take it away"
            )
        return None
    return "\n\n".join([head(notebook, shown, package, tests), *setup, *tests.values()])


def head(notebook: dict, shown: str, package: str, tests: dict) -> str:
    """Write the first lines of a test file: where it is from, and the imports it always needs."""
    lines = [f'"""{MARK} {shown} by tools/export.py. Edit the notebook, not this file."""']
    if any("@pytest" in text for text in tests.values()):
        lines.append("import pytest")
    module = default_module(notebook)
    if module:
        lines.append(f"from {package}.{module} import *")
    return "\n".join(lines) + "\n"


def export_tests(
    notebooks: list[Path],
    root: Path,  # the repository
) -> None:
    """Write tests/test_nb_*.py for all notebooks, and remove those whose notebook marks no cell any more."""
    tests, nbs = root / "tests", root / "nbs"
    files = {}
    for notebook in notebooks:
        shown, name = notebook.relative_to(root).as_posix(), file_name(notebook, nbs)
        if name in files:
            raise NotebookError(f"{shown}: another notebook also makes tests/{name}: rename one")
        files[name] = render_tests(notebook, shown)
    tests.mkdir(exist_ok=True)
    for name, text in files.items():
        if text:
            (tests / name).write_text(text, encoding="utf-8")
    for old in tests.glob("test_nb_*.py"):
        if not files.get(old.name):
            old.unlink()
