"""The pages of the site, written from the notebooks and the modules as sources for Sphinx."""

import ast
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from notebooks import ROOT, NotebookError, code_cells, default_module, find_notebooks, read_notebook, text_of

# Folders in reading order, and how the navigation names them; a folder that is missing here comes last.
SECTIONS = {
    "course": "The course",
    "course/solutions": "Solutions",
    "core": "Blocks, networks, students, data",
    "distillation": "Losses and training",
    "paper": "The paper's tables",
    "plots": "Figures",
    "panels": "Interactive panels",
    "exercises": "Questions and exercises",
    "cli": "The command line",
    "extend": "Extending the package",
    "notes": "Notes",
}
START = "index"  # nbs/index.ipynb is the first page
IMAGES = (".png", ".jpg", ".jpeg", ".svg", ".gif")


@dataclass(frozen=True)
class Page:
    """A notebook as a page."""

    path: Path  # of the notebook
    name: str  # its path from nbs/, without the ending: "core/11_counting"
    title: str  # its first heading
    subtitle: str  # the line below it, which starts with ">"; "" if there is none
    module: str | None  # the module it exports, such as "moonshine.costs.counting"

    @property
    def folder(self) -> str:
        """Return the folder below nbs/, "" for nbs/ itself."""
        return self.name.rpartition("/")[0]


def read_page(
    path: Path,  # of a notebook
    nbs: Path,  # the folder of all notebooks
) -> Page:
    """Read what the navigation shows of a notebook."""
    notebook = read_notebook(path)
    first = text_of(notebook["cells"][0]["source"]) if notebook["cells"] else ""
    title, subtitle = re.search(r"^# (.+)", first, re.MULTILINE), re.search(r"^> (.+)", first, re.MULTILINE)
    if not title:
        raise NotebookError(f"{path}: has no title; its first cell must start with `# Title`")
    module = default_module(notebook)
    full = module and (
        "moonshine" if module == "__init__" else f"moonshine.{module.removesuffix('.__init__')}"
    )
    return Page(
        path,
        path.relative_to(nbs).with_suffix("").as_posix(),
        title[1],
        subtitle[1] if subtitle else "",
        full,
    )


def natural(text: str) -> list:
    """Return a key that sorts numbers as numbers, and names without a number last."""
    parts = re.split(r"(\d+)", text)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts if part]


def in_sections(pages: list[Page]) -> dict[str, list[Page]]:
    """Sort the pages by section, in reading order; the first page is in none."""
    folders = sorted({page.folder for page in pages} - {""}, key=natural)
    ordered = [folder for folder in SECTIONS if folder in folders]
    ordered += [folder for folder in folders if folder not in SECTIONS]
    return {
        folder: sorted((page for page in pages if page.folder == folder), key=lambda page: natural(page.name))
        for folder in ordered
    }


def toctree(
    names: list[str],  # of pages, from nbs/
    caption: str = "",  # above them in the navigation
) -> str:
    """List pages for the navigation, invisible on the page itself."""
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["```{toctree}", *options, "", *(f"/{name}" for name in names), "```"])


def markdown_cell(text: str) -> dict:
    """Return a markdown cell."""
    return dict(cell_type="markdown", metadata={}, source=text)


NOTEBOOK_LINK = re.compile(r"(\]\((?![a-z]+:)[^)\s]+?)\.ipynb([)#])")


def with_page_links(output: dict) -> dict:
    """Return an output whose markdown links to pages; in markdown cells Sphinx does that."""
    data = output.get("data", {})
    if "text/markdown" not in data:
        return output
    text = NOTEBOOK_LINK.sub(r"\1.html\2", text_of(data["text/markdown"]))
    return {**output, "data": {**data, "text/markdown": text}}


def shown_cell(cell: dict) -> dict | None:
    """Return a code cell without its directives, as the reader sees it; None if they see nothing of it."""
    code = code_cells({"cells": [cell]})[0]
    if "hide" in code.directives or not code.body.strip():
        return None
    tags = ["remove-input"] if "hide_input" in code.directives else []
    outputs = [with_page_links(output) for output in cell.get("outputs", [])]
    return {**cell, "source": code.body.strip("\n"), "outputs": outputs, "metadata": {"tags": tags}}


def page_source(
    page: Page,
    ending: str = "",  # markdown for the end of the page
) -> dict:  # a notebook
    """Return the notebook as the site shows it."""
    notebook = read_notebook(page.path)
    cells = [shown_cell(cell) if cell["cell_type"] == "code" else cell for cell in notebook["cells"]]
    cells = [cell for cell in cells if cell]
    if page.module:
        line = f"Makes the module [`{page.module}`](/api/{page.module}.rst)."
        cells.insert(1, markdown_cell(f"```{{rst-class}} module-line\n```\n\n{line}"))
    if ending:
        cells.append(markdown_cell(ending))
    for cell in cells:
        cell.pop("id", None)
    language = dict(name="python", pygments_lexer="python")
    metadata = dict(notebook["metadata"], language_info=language)
    return dict(cells=cells, metadata=metadata, nbformat=4, nbformat_minor=4)


def section_page(title: str, pages: list[Page], inner: list[str] = ()) -> str:
    """Write the page of a section: its notebooks in reading order, with their subtitles."""
    rows = [
        f"- [{page.title}](/{page.name}.ipynb)" + (f"  \n  {page.subtitle}" if page.subtitle else "")
        for page in pages
    ]
    return (
        "\n\n".join([f"# {title}", "\n".join(rows), toctree([*(page.name for page in pages), *inner])]) + "\n"
    )


def module_files(package: Path) -> dict[str, Path]:
    """Find the modules of the package, by name; a package without code of its own is left out."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        if parts[-1] != "__main__" and parts[-1] != "_modidx" and module_summary(path):
            found[name] = path
    return found


def module_summary(path: Path) -> str:
    """Return the first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def module_page(
    name: str,  # such as "moonshine.costs.counting"
    page: Page | None,  # of the notebook that makes it
) -> str:  # reStructuredText
    """Write the page of a module; autodoc fills it in."""
    source = f"Explained and tested in :doc:`/{page.name}`.\n\n" if page else ""
    inner = "" if name == "moonshine" else "   :members:\n   :show-inheritance:\n"
    return f"{name}\n{'=' * len(name)}\n\n{source}.. automodule:: {name}\n{inner}"


def public_names(homes: dict[str, str]) -> str:
    """Write the table of what `import moonshine` offers, linked to where it is documented."""
    rows = [f"- {{py:obj}}`{name} <moonshine.{home}.{name}>`" for name, home in homes.items()]
    return "## The public names\n\nAll of these can be imported from `moonshine` itself.\n\n" + "\n".join(
        rows
    )


def api_index(modules: dict[str, Path], homes: dict[str, str]) -> str:
    """Write the first page of the reference."""
    rows = [f"- [`{name}`](/api/{name}.rst)  \n  {module_summary(path)}" for name, path in modules.items()]
    return "\n\n".join(
        [
            "# API reference",
            public_names(homes),
            "## All modules\n\n" + "\n".join(rows),
            toctree([f"api/{name}" for name in modules]),
        ]
    )


def public_homes(package: Path) -> dict[str, str]:
    """Read which name of `import moonshine` comes from which module."""
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    values = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    return ast.literal_eval(values["_HOMES"])


def write(path: Path, text: str) -> None:
    """Write a file, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def copy_images(nbs: Path, to: Path) -> None:
    """Copy the image files that notebooks show."""
    for path in nbs.rglob("*"):
        if path.suffix in IMAGES and ".ipynb_checkpoints" not in path.parts:
            target = to / path.relative_to(nbs)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def navigation(sections: dict[str, list[Page]]) -> str:
    """Write the navigation for the end of the first page: the course lesson by lesson, then the folders."""
    lessons = [page.name for page in sections.get("course", [])]
    folders = [f"{folder}/index" for folder in sections if folder != "course"]
    return "\n\n".join(
        [
            toctree(lessons, SECTIONS["course"]) if lessons else "",
            toctree(["00_public_api", *folders], "The notebooks"),
            toctree(["api/index"], "Reference"),
        ]
    )


def write_sources(
    to: Path,  # an empty folder
    root: Path = ROOT,  # the repository
) -> None:
    """Write everything that Sphinx reads, except its settings."""
    nbs, package = root / "nbs", root / "moonshine"
    pages = [read_page(path, nbs) for path in find_notebooks(root)]
    sections, modules = in_sections(pages), module_files(package)
    for page in pages:
        ending = navigation(sections) if page.name == START else ""
        write(to / f"{page.name}.ipynb", json.dumps(page_source(page, ending)))
    for folder, inside in sections.items():
        if folder != "course":
            write(to / folder / "index.md", section_page(SECTIONS.get(folder, folder.capitalize()), inside))
    makers = {page.module: page for page in pages if page.module}
    for name in modules:
        write(to / "api" / f"{name}.rst", module_page(name, makers.get(name)))
    write(to / "api" / "index.md", api_index(modules, public_homes(package)))
    copy_images(nbs, to)
