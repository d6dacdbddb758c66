"""Generated from nbs/00_errors.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.errors import *


from fastcore.test import test_eq, test_fail


def test_lookup_suggests_the_nearest_name():
    colours = {"red": 1, "green": 2}
    test_eq(lookup(colours, "red", "colour"), 1)
    test_fail(lambda: lookup(colours, "gren", "colour"), contains="did you mean green?")
    test_fail(lambda: lookup(colours, "xyz", "colour"), contains="known: red, green")
