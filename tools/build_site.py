"""Build the website: every notebook as a page, the course first, and the reference of all modules.

    python tools/build_site.py _site            build it into the folder _site
    python tools/build_site.py _site --check    and check its links; external ones are only listed

It needs `pip install -e ".[site]"`. Notebooks are shown as stored, not executed, and nothing is downloaded.
"""

import argparse
import shutil
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from notebooks import ROOT, NotebookError
from site_links import check_links
from site_pages import write_sources

SETTINGS = Path(__file__).resolve().parent / "site"  # conf.py and what it uses
NEEDED = ("sphinx", "myst_nb", "furo", "sphinx_copybutton", "latex2mathml")


class SiteError(Exception):
    """Something that keeps the site from being built."""


def check_builder() -> None:
    """Say what is missing, before anything is written."""
    missing = [name for name in NEEDED if not find_spec(name)]
    if missing:
        raise SiteError(f'{", ".join(missing)} is missing; install it: pip install -e ".[site]"')


def empty_folder(out: Path) -> None:
    """Remove an earlier site; refuse a folder that holds anything else."""
    if out.exists() and any(out.iterdir()) and not (out / "searchindex.js").exists():
        raise SiteError(f"{out} is not empty and holds no site; name another folder")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)


def run_sphinx(
    sources: Path,
    out: Path,
    work: Path,  # for Sphinx's own files
    processes: int,
) -> None:
    """Build the pages; a warning, such as a link to a missing notebook, is an error."""
    from sphinx.cmd.build import build_main

    options = [
        "-b",
        "html",
        "-q",
        "-W",
        "--keep-going",
        "-j",
        str(processes),
        "-c",
        str(SETTINGS),
        "-d",
        str(work),
    ]
    options += [
        "-D",
        f"nb_execution_cache_path={work}",
    ]  # myst-nb makes that folder, though nothing is executed
    if build_main([*options, str(sources), str(out)]):
        raise SiteError("the site was not built: see above")
    (out / ".buildinfo").unlink(missing_ok=True)
    shutil.rmtree(out / "_sources", ignore_errors=True)  # copies of the text outputs
    (out / ".nojekyll").touch()  # GitHub Pages would leave out folders that start with an underscore


def build(
    out: Path,  # folder of the site
    processes: int = 2,  # how many read and write pages
    root: Path = ROOT,  # the repository
) -> None:
    """Build the site into a folder."""
    check_builder()
    empty_folder(out)
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder, "sources")
        write_sources(sources, root)
        run_sphinx(sources, out, Path(folder, "doctrees"), processes)


def size_of(folder: Path) -> float:
    """Return the size of all files in MB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of the site; an earlier site in it is replaced")
    parser.add_argument("--check", action="store_true", help="check the links; fail if one is broken")
    parser.add_argument("--processes", type=int, default=2, help="how many processes read and write pages")
    args = parser.parse_args()
    start = time.time()
    try:
        build(args.out, args.processes)
    except (SiteError, NotebookError) as error:
        sys.exit(f"Error: {error}")
    print(f"built {args.out} in {time.time() - start:.0f} s: {size_of(args.out):.1f} MB")
    if args.check:
        report = check_links(args.out)
        print("\n".join(f"not opened: {address}" for address in sorted(report.external)))
        print(f"{report.pages} pages, {report.internal} internal links, {len(report.problems)} broken")
        if report.problems:
            sys.exit("\n".join(report.problems))


if __name__ == "__main__":
    main()
