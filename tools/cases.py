"""Run the cases that once broke something, and write the table of them, kind by kind.

    python tools/cases.py            all cases, the slow ones too; writes tests/cases/README.md
    python tools/cases.py --quick    without the slow ones; prints the table and writes nothing

Each test in tests/cases/ carries `@pytest.mark.kind("...")`, the kind of fault it belongs to.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from notebooks import ROOT

CASES = ROOT / "tests" / "cases"
HEADING = """# Cases that once broke something

Each kind of fault was found in one form, and is tested in that form and in others like it. The table is the
output of `python tools/cases.py`.

"""


def run_cases(quick: bool) -> dict[str, list[str]]:
    """Run tests/cases and return the outcomes of each kind."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kinds.json")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            CASES,
            f"--kinds={file}",
            *([] if quick else ["--slow"]),
        ]
        subprocess.run(list(map(str, command)), cwd=ROOT)
        return json.loads(file.read_text(encoding="utf-8"))


def table(kinds: dict[str, list[str]]) -> str:
    """Return a Markdown table: area, kind, cases, how many passed, how many were skipped."""
    rows = ["| Area | Kind | Cases | Passed | Skipped |", "|---|---|---:|---:|---:|"]
    total = [0, 0, 0]
    for name, outcomes in sorted(kinds.items()):
        area, kind = name.split("/", 1)
        counts = [len(outcomes), outcomes.count("passed"), outcomes.count("skipped")]
        total = [a + b for a, b in zip(total, counts)]
        area = area.removeprefix("test_").removesuffix("_cases")
        rows.append(f"| {area} | {kind} | " + " | ".join(map(str, counts)) + " |")
    rows.append("| **all** | | " + " | ".join(f"**{count}**" for count in total) + " |")
    return "\n".join(rows) + "\n"


def main() -> int:
    """Run the cases and print their table; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave out the slow cases, and write nothing")
    options = parser.parse_args()
    kinds = run_cases(options.quick)
    print(table(kinds))
    if not options.quick:
        (CASES / "README.md").write_text(HEADING + table(kinds), encoding="utf-8")
    return int(any(outcome == "failed" for outcomes in kinds.values() for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
