"""The course: what every lesson contains, and that its questions and exercises have answers, elsewhere."""

import importlib
import re

import nbformat
import pytest
from conftest import ROOT

from moonshine.lessons.answers import EXERCISES, KINDS, QUESTIONS

LESSONS = sorted(ROOT.glob("nbs/course/[1-9]_*.ipynb"))
GATE = re.compile(r'\bgate\("([^"]+)"\)')
CHECK = re.compile(r'\bcheck\("([^"]+)"')


def read(path):
    """Return the cells of a notebook."""
    return nbformat.read(path, as_version=4).cells


def sources(cells, kind):
    """Return the sources of the cells of one kind."""
    return [cell.source for cell in cells if cell.cell_type == kind]


def in_lesson(registry, number):
    """Return the names of a registry that belong to a lesson."""
    importlib.import_module(f"moonshine.lessons.lesson_{number}")
    return {name for name in registry if name.split(".")[0] == number}


def solutions(path):
    """Return the notebook with the worked solutions of a lesson."""
    (found,) = ROOT.glob(f"nbs/course/solutions/{path.name[0]}_*.ipynb")
    return found


every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def test_there_are_nine_lessons():
    assert [path.name[:2] for path in LESSONS] == [f"{number}_" for number in range(1, 10)]


@every_lesson
def test_a_lesson_opens_and_ends_as_all_lessons_do(path):
    prose = sources(read(path), "markdown")
    assert re.match(rf"# {path.name[0]}\. .+\n\n> .+\n", prose[0])
    for part in ("colab.research.google.com", "minutes", "Prerequisites"):
        assert part in prose[0], part
    headings = [line for text in prose for line in text.splitlines() if line.startswith("## ")]
    for heading in ("## Exercises", "## Questionnaire", "## In short", "## References"):
        assert heading in headings, heading
    links = [link for text in prose for link in re.findall(r"\]\((\d_\w+\.ipynb)\)", text)]
    following = [other.name for other in LESSONS if int(other.name[0]) == int(path.name[0]) + 1]
    assert set(following) <= set(links)
    assert all((path.parent / link).exists() for link in links)


@every_lesson
def test_every_question_is_asked_once(path):
    asked = [name for source in sources(read(path), "code") for name in GATE.findall(source)]
    assert len(asked) >= 3 and len(set(asked)) == len(asked)
    assert set(asked) == in_lesson(QUESTIONS, path.name[0])


@every_lesson
def test_every_exercise_is_set_and_there_is_one_of_each_kind(path):
    checked = {name for source in sources(read(path), "code") for name in CHECK.findall(source)}
    exercises = in_lesson(EXERCISES, path.name[0])
    assert checked == exercises
    assert {EXERCISES[name].kind for name in exercises} == set(KINDS)


@every_lesson
def test_answers_are_not_on_the_page(path):
    cells = read(path)
    for text in sources(cells, "markdown"):
        assert "<details>" not in text and "Answer</summary>" not in text
    for source in sources(cells, "code"):
        assert "because=" not in source and "predict_gate" not in source and "lambda: " not in source


@every_lesson
def test_every_solution_is_worked_and_every_mistake_commented(path):
    text = "\n".join(sources(read(solutions(path)), "code"))
    for name in in_lesson(EXERCISES, path.name[0]):
        verdicts = re.findall(rf'verdict\(\s*"{re.escape(name)}"', text)
        assert len(verdicts) >= 2, f"{name}: a right answer and a wrong one, each with its verdict"


@every_lesson
def test_there_are_figures_with_a_text_alternative(path):
    cells = read(path)
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    images = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(images) >= 3
    assert all(len(image["data"].get("text/plain", "")) > 20 for image in images)
