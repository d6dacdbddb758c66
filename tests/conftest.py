"""What all tests share: options, marks, and the data folder beside the repository."""

import inspect
import json
import os
import re
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: tests run side by side

import pytest

# The checkout: tools/test.py runs these tests from a copy elsewhere, against the built wheel.
ROOT = Path(os.environ.get("MOONSHINE_CHECKOUT") or Path(__file__).resolve().parent.parent)
FLAGS = {"slow": "takes long", "cuda": "needs a GPU"}  # a marked test runs only under the option of that name

COURSE = ("ipywidgets", "IPython", "nbformat")  # what only the course needs, and a rented GPU may lack
KINDS = {}  # the outcomes of the cases of each kind
LEFT_OUT = []  # names of the test files that need it, where it is missing


def pytest_addoption(parser):
    """Add --slow and --cuda."""
    for flag, reason in FLAGS.items():
        parser.addoption(f"--{flag}", action="store_true", help=f"run the tests marked {flag} ({reason})")
    parser.addoption("--kinds", help="write the outcome of each kind of case to this JSON file")


def pytest_configure(config):
    """Make the marks known."""
    for flag, reason in FLAGS.items():
        config.addinivalue_line("markers", f"{flag}: {reason}; runs only under --{flag}")
    config.addinivalue_line(
        "markers", "kind(name): the kind of fault a case belongs to; tools/cases.py counts them"
    )


def pytest_collection_modifyitems(config, items):
    """Skip the marked tests that were not asked for, and note the kind of each case."""
    for item in items:
        if kind := item.get_closest_marker("kind"):
            item.user_properties.append(("kind", f"{item.path.stem}/{kind.args[0]}"))
    for flag, reason in FLAGS.items():
        if config.getoption(f"--{flag}"):
            continue
        for item in items:
            if item.get_closest_marker(flag):
                item.add_marker(pytest.mark.skip(reason=f"{reason}: runs under --{flag}"))


def pytest_runtest_logreport(report):
    """Count how each case of a kind ended."""
    kind = dict(report.user_properties).get("kind")
    if kind and (report.when == "call" or report.outcome != "passed"):
        KINDS.setdefault(kind, []).append(report.outcome)


def pytest_sessionfinish(session):
    """Write the counts, where they were asked for."""
    if path := session.config.getoption("--kinds"):
        Path(path).write_text(json.dumps(KINDS, indent=1), encoding="utf-8")


def pytest_ignore_collect(collection_path, config):
    """Leave out the tests of the course where what it needs is not installed."""
    if collection_path.suffix != ".py" or not (missing := [name for name in COURSE if not find_spec(name)]):
        return None
    roots = "|".join([*missing, r"moonshine\.(panels|lessons|plots\.diagrams|plots\.story)"])
    text = collection_path.read_text(encoding="utf-8")
    if not re.search(rf"^(from|import) ({roots})\b", text, re.MULTILINE):
        return None
    LEFT_OUT.append(collection_path.name)
    return True


def pytest_terminal_summary(terminalreporter):
    """Say which tests were left out."""
    if LEFT_OUT:
        missing = ", ".join(name for name in COURSE if not find_spec(name))
        terminalreporter.write_line(f"left out, because {missing} is missing: {', '.join(LEFT_OUT)}")


def pytest_pycollect_makeitem(collector, name, obj):
    """Leave out what a test file only imports: fastcore's test_eq, the package's test_batches."""
    if inspect.isfunction(obj) and obj.__module__ != collector.module.__name__:
        return []


def find_shared(
    path: str,  # within the data folder, such as "data/photos.tar.xz"
) -> Path:
    """Find a file of the data folder: MOONSHINE_SHARED, or `shared` beside the repository.

    Where it is missing the test is skipped, or fails if MOONSHINE_REQUIRE_DATA=1.
    """
    folder = Path(os.environ.get("MOONSHINE_SHARED") or ROOT.parent / "shared")
    if (folder / path).exists():
        return folder / path
    message = f"no {path} in the data folder: set MOONSHINE_SHARED to the folder that holds it"
    if os.environ.get("MOONSHINE_REQUIRE_DATA") == "1":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@pytest.fixture
def shared():
    """Give a test the function that finds files of the data folder: `shared("data/photos.tar.xz")`."""
    return find_shared
