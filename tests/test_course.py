"""The course: what every lesson contains, and that the answers to its exercises are right."""

import re

import nbformat
import pytest
from conftest import ROOT

LESSONS = sorted(ROOT.glob("nbs/course/[1-9]_*.ipynb"))
OPEN = re.compile(r"^answer = \.\.\..*$", re.MULTILINE)  # the line that the reader completes
GUESS_AT_ONCE = """
import moonshine.panels.gates, moonshine.panels.widgets
make = moonshine.panels.gates.predict_gate
def committed(*args, **options):
    panel = make(*args, **options)
    panel.press("Commit")
    assert "You said" in panel.text, panel.text
    return panel
moonshine.panels.gates.predict_gate = moonshine.panels.widgets.predict_gate = committed
"""  # a reader may commit a guess before running the next cell, so the answer must not need it
SOLUTION = re.compile(r"<details>.*?```python\n(.*?)```", re.DOTALL)


def read(path):
    """Return a notebook's cells."""
    return nbformat.read(path, as_version=4)


def solved(notebook):
    """Replace the dots by the folded answers; return how many there were."""
    cells, count = notebook.cells, 0
    for cell, *after in (cells[i : i + 2] for i in range(len(cells))):
        if cell.cell_type == "code" and OPEN.search(cell.source):
            answer = SOLUTION.search(after[0].source)
            cell.source = OPEN.sub(lambda line: answer[1].rstrip(), cell.source)
            count += 1
    return count


def printed(cell):
    """Return the printed output of a code cell."""
    return "".join(output.text for output in cell.get("outputs", ()) if output.output_type == "stream")


def test_there_are_nine_lessons():
    assert [path.name[:2] for path in LESSONS] == [f"{number}_" for number in range(1, 10)]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_all_its_parts(path):
    cells = read(path).cells
    prose = [cell.source for cell in cells if cell.cell_type == "markdown"]
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert re.match(rf"# {path.name[0]}\. .+\n\n> .+\n", prose[0]) and "inutes" in prose[0]
    assert any(text.startswith("## In short") for text in prose)
    assert sum("predict_gate(" in cell.source for cell in code) >= 2
    panels = [cell for cell in code if re.search(r"show\(\w+_panel\(", cell.source)]
    images = [output for cell in code for output in cell.outputs if "image/png" in output.get("data", {})]
    assert panels and len(images) >= 2 + sum("predict_gate(" in cell.source for cell in code)
    assert sum(bool(OPEN.search(cell.source)) for cell in code) == 3
    links = [link for text in prose for link in re.findall(r"\]\((\d_\w+\.ipynb)\)", text)]
    assert all((path.parent / link).exists() for link in links)
    following = [other.name for other in LESSONS if int(other.name[0]) == int(path.name[0]) + 1]
    assert set(following) <= set(links)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_the_answers_are_right(path, tmp_path, monkeypatch):
    monkeypatch.setenv("MOONSHINE_RAISE", "1")
    from nbclient import NotebookClient

    notebook = read(path)
    assert solved(notebook) == 3
    notebook.cells.insert(0, nbformat.v4.new_code_cell(GUESS_AT_ONCE))
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    checks = [
        printed(cell)
        for cell in notebook.cells
        if cell.cell_type == "code" and re.search(r"check\(\s*(answer|\.\.\.)", cell.source)
    ]
    assert len(checks) == 3 and all("Right" in text for text in checks), checks


def test_a_lesson_without_answers_is_waiting():
    for path in LESSONS:
        waiting = [
            printed(cell)
            for cell in read(path).cells
            if cell.cell_type == "code" and OPEN.search(cell.source)
        ]
        assert len(waiting) == 3 and all("Waiting for your answer." in text for text in waiting), path.name
