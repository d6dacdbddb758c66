"""Generated from nbs/exercises/72_scores.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.lessons.scores import *


import csv
from pathlib import Path
from tempfile import TemporaryDirectory

from fastcore.test import test_eq, test_fail


def test_scores_are_kept_by_lesson():
    SCORE.clear()
    test_eq(score(4), "Lesson 4: nothing answered yet.")
    record("4.1", "guess", "36,864 weights", True)
    record("4.2", "guess", "8 times", False)
    record("4.e1", "exercise", "3", False)
    record("4.e1", "exercise", "4", True)
    record("5.1", "guess", "1", True)
    test_eq(score(4), "Lesson 4: 1 of 2 guesses close so far; 1 of 1 exercises solved.")
    with TemporaryDirectory() as folder:
        path = export_scores(f"{folder}/scores.csv")
        with path.open(encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        test_eq(len(lines), 4)
        test_eq(lines[0], dict(name="4.1", kind="guess", answer="36,864 weights", right="True"))
        test_fail(lambda: export_scores(path), contains="exists; name another file")
    SCORE.clear()
