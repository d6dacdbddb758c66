"""Generated from nbs/exercises/75_evidence.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.lessons.evidence import *


from fastcore.test import test_eq, test_fail


def test_the_recorded_runs_are_found():
    runs = recorded("shapes", method="at", threads=1, amp="none")
    test_eq(sorted(row["seed"] for row in runs), list(range(10)))
    test_eq(len(errors_of("cifar10", student="WRN-16-2 G(N/8)", method="scratch")), 3)
    test_eq(in_words([12.34]), "12.3 % (one run)")
    test_eq(in_words([10.0, 12.0]), "11.0 ± 1.4 % (2 seeds)")
    test_fail(lambda: recorded("imagenet"), contains="unknown dataset 'imagenet'")
