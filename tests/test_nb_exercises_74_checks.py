"""Generated from nbs/exercises/74_checks.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.lessons.checks import *


from contextlib import redirect_stdout
from io import StringIO

from fastcore.test import test_eq, test_fail

from moonshine.lessons.answers import EXERCISES, compare, compare_function, exercise
from moonshine.lessons.scores import SCORE


@exercise("0.e1", kind="recall", hint="Count the weights of one kernel first.")
def weights(answer):
    "How many weights does a 3×3 convolution from 64 to 64 channels have?"
    return compare(answer, 9 * 64 * 64, [(64 * 64, "each kernel has nine weights, not one")])


def average(x):
    return sum(x) / len(x)


@exercise("0.e2", kind="implement", ours=average)
def mean(answer):
    "Write a function that returns the mean of a list."
    return compare_function(answer, average, ([1, 2, 6],))


def test_later_cells_use_the_readers_code_if_it_is_right():
    def own(x):
        return sum(x) / len(x)


    def unwritten(x): ...


    test_eq(yours("0.e2", own), own)
    test_eq(yours("0.e2", sum), average)
    test_eq(yours("0.e2", unwritten), average)


def test_a_check_says_why():
    SCORE.clear()
    test_eq(verdict("0.e1", ...), (None, "Exercise 0.e1: waiting for your answer."))
    test_eq(verdict("0.e1", 36864), (True, "Exercise 0.e1: right."))
    right, text = verdict("0.e1", 4096)
    test_eq(right, False)
    test_eq(text, 'Exercise 0.e1: not yet; each kernel has nine weights, not one. Stuck? Run hint("0.e1").')
    test_eq(verdict("0.e2", sum)[1], "Exercise 0.e2: not yet; it is 3 times too high.")
    test_eq(verdict("0.e2", lambda x: None)[0], None)
    test_fail(lambda: check("0.e3"), contains="unknown exercise '0.e3'")


def test_answers_are_recorded_and_hints_printed():
    def printed(function, *args):
        with redirect_stdout(StringIO()) as out:
            function(*args)
        return out.getvalue().strip()


    SCORE.clear()
    test_eq(printed(check, "0.e1"), "Exercise 0.e1: waiting for your answer.")
    test_eq(SCORE, {})
    check("0.e1", 7)
    test_eq(SCORE["0.e1"]["right"], False)
    check("0.e1", 36864)
    test_eq(SCORE["0.e1"]["right"], True)
    test_eq(printed(hint, "0.e1"), "Count the weights of one kernel first.")
    test_eq(printed(hint, "0.e2"), "There is no hint for this exercise.")
    SCORE.clear()
