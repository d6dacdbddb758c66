"""Generated from nbs/core/00_errors.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.errors import *


from fastcore.test import test_eq, test_fail


def test_lookup_suggests_the_nearest_name():
    colors = {"red": 1, "green": 2}
    test_eq(lookup(colors, "red", "color"), 1)
    test_fail(lambda: lookup(colors, "gren", "color"), contains="did you mean green?")
    test_fail(lambda: lookup(colors, "xyz", "color"), contains="known: red, green")
