"""Run every test, stage by stage. The last line says `N passed, N failed`.

    python tools/test.py                       all stages
    python tools/test.py --only notebooks      one or more of: style notebooks wheel browser step
    python tools/test.py --slow --cuda         what is marked slow, or needs a GPU, too

style      ruff: formatting and lint
notebooks  every notebook, once, from its source: `nbdev_test`
wheel      tests/ against the built wheel, in an environment of its own, outside of this checkout
browser    the lessons in JupyterLab, driven by a browser, from the same wheel
step       what is made from the notebooks is in step, and nbdev's own commands change nothing

A notebook counts as one test. nbdev has no counts and no wheel: that is why this file exists.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from notebooks import ROOT, find_notebooks

MOST_WORKERS = 8  # each may hold a copy of torch in memory
BROWSER = "test_browser.py"  # one server and one browser: not in two processes
STAGES = ("style", "notebooks", "wheel", "browser", "step")


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


def environment(**changes: str) -> dict:
    """Return an environment in which processes that run side by side don't compete for the cores."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "OMP_NUM_THREADS": "1", **changes}


def run(command: list, cwd: Path = ROOT, **changes: str) -> tuple[int, str]:
    """Run a command, show what it prints as it comes, and return its exit status and its output."""
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=cwd,
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    return process.wait(), "".join(lines)


def script(name: str) -> Path:
    """Return a command of this Python's environment, or of the one that it takes other packages from."""
    beside = Path(sys.executable).with_name(name)
    return beside if beside.exists() else Path(shutil.which(name) or beside)


def one_check(*command: str) -> Counts:
    """Count a command as one test, which passes if the command ends with status 0."""
    status, _ = run(command)
    return Counts(passed=int(status == 0), failed=int(status != 0))


def test_style(flags: list[str], work: Path) -> Counts:
    """Check formatting and lint."""
    ruff = [sys.executable, "-m", "ruff"]
    return one_check(*ruff, "format", "--check", "-q", ".") + one_check(*ruff, "check", "-q", ".")


def test_notebooks(flags: list[str], work: Path) -> Counts:
    """Run all notebooks with nbdev; one that was not run to its end is a failure, whatever nbdev says."""
    names = {str(path) for path in find_notebooks(ROOT)}
    options = ["--n_workers", worker_count(), "--do_print", "--timing", "--flags", " ".join(flags)]
    status, text = run([script("nbdev_test"), *options], IPYTHONDIR=str(work / "ipython"))
    completed = set(re.findall(r"- Completed (\S+\.ipynb)", text)) & names
    failed = re.findall(r"^\t(\S+\.ipynb)$", text, re.MULTILINE)
    for name in sorted(names - completed):
        print(f"FAILED: not run to its end: {Path(name).relative_to(ROOT)}")
    wrong = max(len(names - completed) + len(failed), int(status != 0 or not names))
    return Counts(passed=max(len(names) - wrong, 0), failed=wrong)


def make_wheel_environment(work: Path) -> Path:
    """Build the wheel and install it; the other packages are those of the environment that runs this file."""
    status, _ = run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", work / "dist", ROOT])
    if status:
        raise RuntimeError("the wheel can't be built")
    venv.create(work / "venv", with_pip=False, symlinks=True)
    python = work / "venv" / "bin" / "python"
    site = Path(
        subprocess.check_output(
            [python, "-c", "import site; print(site.getsitepackages()[0])"], text=True
        ).strip()
    )
    wheel = next((work / "dist").glob("*.whl"))
    status, _ = run([sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", wheel])
    if status:
        raise RuntimeError("the wheel can't be installed")
    for part in (
        "share",
        "etc",
    ):  # JupyterLab's extensions, without which widgets stay dead, and its settings
        if (Path(sys.prefix) / part / "jupyter").exists():
            (work / "venv" / part).mkdir(exist_ok=True)
            (work / "venv" / part / "jupyter").symlink_to(Path(sys.prefix) / part / "jupyter")
    here = sysconfig.get_paths()["purelib"]
    (site / "others.pth").write_text(
        f"import site; site.addsitedir({here!r})\n"
    )  # after the wheel's own folder
    return python


def copy_tests(work: Path) -> Path:
    """Copy tests/ to where no checkout is near."""
    return Path(shutil.copytree(ROOT / "tests", work / "tests", ignore=shutil.ignore_patterns("__pycache__")))


def run_pytest(work: Path, what: list[str], flags: list[str]) -> Counts:
    """Run pytest once against the wheel, outside of the checkout, and count."""
    python = work / "venv" / "bin" / "python"
    if not python.exists():
        make_wheel_environment(work)
        copy_tests(work)
    where = "import moonshine; print(moonshine.__file__)"
    found = subprocess.check_output([python, "-c", where], text=True, cwd=work, env=environment()).strip()
    if not Path(found).is_relative_to(work):
        raise RuntimeError(f"moonshine is imported from {found}, not from the wheel")
    report = work / "report.xml"
    report.unlink(missing_ok=True)
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *what, f"--junitxml={report}"]
    status, _ = run(
        [*command, *(f"--{flag}" for flag in flags)], work / "tests", MOONSHINE_CHECKOUT=str(ROOT)
    )
    counts = read_counts(report) if report.exists() else Counts()
    if status and not counts.failed:  # it stopped before its end, or found no test
        print(f"FAILED: pytest ended with status {status} and no failed test")
        counts.failed = 1
    return counts


def read_counts(report: Path) -> Counts:
    """Read pytest's JUnit report; a file that can't be imported counts as a failure."""
    total = Counts()
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        tests, failures, errors, skipped = (
            int(suite.get(k)) for k in ("tests", "failures", "errors", "skipped")
        )
        total += Counts(tests - failures - errors - skipped, failures + errors, skipped)
    return total


def test_wheel(flags: list[str], work: Path) -> Counts:
    """Run the exported and the hand-written tests in two processes."""
    return run_pytest(work, [".", "-n", "2", f"--ignore={BROWSER}"], flags)


def test_browser(flags: list[str], work: Path) -> Counts:
    """Run what needs a browser, in one process."""
    return run_pytest(work, [BROWSER], flags) if (ROOT / "tests" / BROWSER).exists() else Counts()


def tree_state() -> str:
    """Return what git says of the tree; an empty text where there is no git."""
    command = ["git", "-C", ROOT, "status", "--porcelain"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    return done.stdout


def test_step(flags: list[str], work: Path) -> Counts:
    """Check that nothing is out of step, and that nbdev's own commands leave the tree as it is."""
    before = tree_state()
    counts = one_check(sys.executable, "tools/export.py", "--check")
    counts += one_check(script("nbdev_clean")) + one_check(script("nbdev_export"))
    after = tree_state()
    if after != before:
        print(f"FAILED: nbdev_clean or nbdev_export changed the tree:\n{after}")
    return counts + Counts(passed=int(after == before), failed=int(after != before))


def run_stage(name: str, flags: list[str], work: Path) -> Counts:
    """Run one stage, and say how long it took."""
    print(f"== {name}", flush=True)
    start = time.time()
    try:
        counts = globals()[f"test_{name}"](flags, work)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f"FAILED: {error}")
        counts = Counts(failed=1)
    print(f"== {name}: {counts} in {time.time() - start:.0f} s", flush=True)
    return counts


def main() -> None:
    """Read the command line, run what it asks for, and print the closing line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slow", action="store_true", help="run what is marked slow, too")
    parser.add_argument("--cuda", action="store_true", help="run what needs a GPU, too")
    parser.add_argument(
        "--only", nargs="+", choices=STAGES, default=STAGES, help="stages to run (default: all)"
    )
    args = parser.parse_args()

    flags = [flag for flag in ("slow", "cuda") if getattr(args, flag)]
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only:
            counts += run_stage(name, flags, Path(folder).resolve())
    print(counts, flush=True)
    sys.exit(1 if counts.failed else 0)


if __name__ == "__main__":
    main()
