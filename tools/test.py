"""Run every test: all notebooks, then pytest. The last line says `N passed, N failed`.

    python tools/test.py                     all but what is marked slow, or needs a GPU
    python tools/test.py --slow              the slow ones too
    python tools/test.py --cuda              those for a GPU too
    python tools/test.py --notebooks-only    or --pytest-only

A notebook counts as one test. The exit status is 0 only if nothing failed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from notebooks import ROOT, find_notebooks
from run_notebook import RAN

NOTEBOOK_LIMIT = 1800  # seconds; a notebook that takes longer hangs
MOST_WORKERS = 8  # each may hold a copy of torch in memory


@dataclass
class Counts:
    """How many tests ended how."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        text = f"{self.passed} passed, {self.failed} failed"
        return text + (f", {self.skipped} skipped" if self.skipped else "")


def worker_count() -> int:
    """Return the number of processor cores this process may use, within reason."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, MOST_WORKERS)


def one_thread_each() -> dict:
    """Return an environment in which processes that run side by side don't fight over the cores."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def test_notebook(
    path: Path,
    flags: list[str],  # "slow", "cuda": cells to run that are left out otherwise
) -> bool:  # did it pass?
    """Run one notebook in a process of its own, so that nothing it does can hide its result."""
    start = time.time()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        command = [sys.executable, ROOT / "tools" / "run_notebook.py", path, *flags]
        try:
            status = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=one_thread_each(),
                timeout=NOTEBOOK_LIMIT,
            ).returncode
        except subprocess.TimeoutExpired:
            status = f"none after {NOTEBOOK_LIMIT} s"
        output.seek(0)
        text = output.read().strip()
    passed = status == 0 and text.endswith(RAN)
    report = f"{'passed' if passed else 'FAILED'} {time.time() - start:6.1f} s  {path.relative_to(ROOT).as_posix()}"
    if not passed:
        report += f"\n{text}\n(exit status: {status})"
    print(report, flush=True)
    return passed


def test_notebooks(flags: list[str]) -> Counts:
    """Run all notebooks, as many at a time as there are cores."""
    notebooks = find_notebooks(ROOT)
    if not notebooks:
        print("FAILED: there is no notebook under nbs/")
        return Counts(failed=1)
    with ThreadPoolExecutor(worker_count()) as pool:
        results = list(pool.map(lambda path: test_notebook(path, flags), notebooks))
    return Counts(passed=sum(results), failed=len(results) - sum(results))


def read_counts(report: Path) -> Counts:
    """Read pytest's JUnit report; a file that can't be imported counts as a failure."""
    suites = ElementTree.parse(report).getroot().iter("testsuite")
    total = Counts()
    for suite in suites:
        tests, failures, errors, skipped = (
            int(suite.get(k)) for k in ("tests", "failures", "errors", "skipped")
        )
        total += Counts(tests - failures - errors - skipped, failures + errors, skipped)
    return total


BROWSER = "tests/test_browser.py"  # one server and one browser: not in two processes


def test_package(flags: list[str]) -> Counts:
    """Run pytest over tests/ in two processes, and then what needs a browser in one."""
    counts = run_pytest(["tests", "-n", "2", f"--ignore={BROWSER}"], flags)
    return counts + run_pytest([BROWSER], flags) if (ROOT / BROWSER).exists() else counts


def run_pytest(
    what: list[str],  # paths and options
    flags: list[str],
) -> Counts:
    """Run pytest once and count."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            *what,
            f"--junitxml={report}",
            *(f"--{flag}" for flag in flags),
        ]
        status = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, env=one_thread_each()).returncode
        counts = read_counts(report) if report.exists() else Counts()
    if status and not counts.failed:  # it stopped before its end, or found no test
        print(f"FAILED: pytest ended with status {status} and no failed test")
        counts.failed = 1
    return counts


def main() -> None:
    """Read the command line, run what it asks for, and print the closing line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slow", action="store_true", help="run what is marked slow, too")
    parser.add_argument("--cuda", action="store_true", help="run what needs a GPU, too")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--notebooks-only", action="store_true", help="leave out pytest")
    part.add_argument("--pytest-only", action="store_true", help="leave out the notebooks")
    args = parser.parse_args()

    flags = [flag for flag in ("slow", "cuda") if getattr(args, flag)]
    counts = Counts()
    if not args.pytest_only:
        counts += test_notebooks(flags)
    if not args.notebooks_only:
        counts += test_package(flags)
    print(counts, flush=True)
    sys.exit(1 if counts.failed else 0)


if __name__ == "__main__":
    main()
