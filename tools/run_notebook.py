"""Run one notebook with nbdev's own tester; `tools/test.py` starts one such process for each notebook.

    python tools/run_notebook.py nbs/01_blocks.ipynb [slow cuda]

The words after the notebook are flags of cells to run that are left out otherwise.
Ends with status 0 and the line RAN only if the notebook was run to its end without an error.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
RAN = "the notebook ran to its end"  # the last line; without it a process that merely stopped would count as passed


def run_notebook(
    path: Path,  # of the notebook, absolute
    flags: list[str],  # flags of cells to run all the same
) -> None:
    """Run a notebook from its folder, as nbdev_test does; exit with 1 at an error, which nbdev prints."""
    from nbdev.config import get_config
    from nbdev.test import test_nb

    os.chdir(HERE.parent / "nbs")
    skipped = get_config().tst_flags.split()
    passed, seconds = test_nb(path, skip_flags=skipped, force_flags=flags, basepath=HERE.parent)
    if not passed:
        sys.exit(1)
    if seconds == 0:  # nbdev's answer for a notebook that it will not run
        sys.exit("not tested: its metadata says skip_exec or a language other than Python")


def main() -> None:
    """Read the command line."""
    sys.path.remove(str(HERE))  # a notebook must not import these scripts by accident
    run_notebook(Path(sys.argv[1]).resolve(), sys.argv[2:])
    print(RAN, flush=True)


if __name__ == "__main__":
    main()
