"""Check a built site: links lead to pages, anchors and files that exist; nothing is loaded from elsewhere."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

LOADED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "video": "src", "embed": "src"}
RELATIONS = {"stylesheet", "preload", "icon", "modulepreload"}  # <link> elements that load something


@dataclass
class Found(HTMLParser):
    """What a page offers and what it asks for."""

    anchors: set = field(default_factory=set)  # values of id and name
    links: list = field(default_factory=list)  # addresses that a reader may follow
    loaded: list = field(default_factory=list)  # addresses that the browser loads by itself

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list) -> None:
        """Note the addresses and the anchors of one element."""
        values = {name: value for name, value in attributes if value is not None}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "link" and RELATIONS & set(values.get("rel", "").split()):
            self.loaded.append(values.get("href", ""))
        if tag in LOADED and LOADED[tag] in values:
            self.loaded.append(values[LOADED[tag]])
        if "srcdoc" in values:  # a page in the page
            inner = read_html(values["srcdoc"])
            self.loaded += inner.loaded
            self.links += [link for link in inner.links if urlsplit(link).scheme]


def read_html(text: str) -> Found:
    """Parse a page."""
    found = Found()
    found.feed(text)
    return found


@dataclass
class Report:
    """What the check found."""

    pages: int = 0
    internal: int = 0  # links within the site, anchors included
    external: set = field(default_factory=set)  # addresses elsewhere, which are listed and not opened
    problems: list = field(default_factory=list)  # one line each


def check_links(
    site: Path,  # the folder of the built site
) -> Report:
    """Check every page of a site."""
    site = Path(site).resolve()
    pages = {path: read_html(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    report = Report(pages=len(pages))
    for path, found in pages.items():
        for address in found.loaded:
            check_address(address, path, site, pages, report, must_be_here=True)
        for address in found.links:
            check_address(address, path, site, pages, report)
    return report


def check_address(
    address: str,  # as the page has it
    path: Path,  # of the page
    site: Path,
    pages: dict,  # path -> Found
    report: Report,
    must_be_here: bool = False,  # the browser loads it: it must come from the site
) -> None:
    """Check one address, and add what is wrong with it to the report."""
    where, parts = path.relative_to(site).as_posix(), urlsplit(address)
    if parts.scheme in ("data", "blob", "mailto", "javascript"):
        return
    if parts.scheme or parts.netloc:
        report.external.add(address)
        if must_be_here:
            report.problems.append(f"{where}: loads {address} from another site; copy it into this one")
        return
    report.internal += 1
    target = (site / unquote(urljoin(f"/{where}", parts.path)).lstrip("/")) if parts.path else path
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        report.problems.append(f"{where}: links to {address}, which is not there")
    elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        report.problems.append(f"{where}: links to {address}, but that page has no such anchor")
