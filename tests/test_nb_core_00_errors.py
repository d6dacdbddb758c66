"""Generated from nbs/core/00_errors.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.errors import *


from fastcore.test import test_eq, test_fail


def test_lookup_suggests_the_nearest_name():
    colors = {"red": 1, "green": 2}
    test_eq(lookup(colors, "red", "color"), 1)
    test_fail(lambda: lookup(colors, "gren", "color"), contains="did you mean green?")
    test_fail(lambda: lookup(colors, "xyz", "color"), contains="known: red, green")


def test_numbers_have_limits():
    check_number("epochs", 3, 1, whole=True)
    check_number("alpha", 1, 0, 1)
    test_fail(
        lambda: check_number("epochs", 1.5, whole=True), contains="epochs is 1.5; it must be a whole number"
    )
    test_fail(lambda: check_number("alpha", "0.5"), contains="alpha is '0.5'; it must be a number")
    test_fail(lambda: check_number("alpha", 2, 0, 1), contains="alpha is 2; it must be between 0 and 1")
    test_fail(lambda: check_number("T", 0, above=True), contains="T is 0; it must be more than 0")
    for wrong in (True, float("nan"), float("inf"), -1):
        test_fail(lambda: check_number("beta", wrong), contains="beta is")


def test_the_same_source_twice_is_one_definition():
    cell = """
def scaled(x, by=2):
    def inner(y):
        return 3 * y + 1
    return by * inner(x)

class Scaled:
    def __call__(self, x):
        return 3 * x
"""


    def run(text):
        found = dict(__name__="cell")
        exec(text, found)
        return found


    first, again = run(cell), run("# moved by a line\n" + cell)
    for name in ("scaled", "Scaled"):
        test_eq(same_definition(first[name], again[name]), True)
    for changed in ("4 * y", "3 * y + 1.0", "3 * y - 1"):  # a number, its type, an operator
        other = run(cell.replace("3 * y + 1", changed))
        test_eq(same_definition(first["scaled"], other["scaled"]), False)
    test_eq(same_definition(first["scaled"], run(cell.replace("by=2", "by=3"))["scaled"]), False)
    test_eq(same_definition(first["Scaled"], run(cell.replace("3 * x", "4 * x"))["Scaled"]), False)
