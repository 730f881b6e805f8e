"""What MkDocs calls while it builds the documentation site: puts in the generated pages, the files that lie outside docs/, and README's own sections.
Imports mkdocs and scripts/site/reference.py; refuses to let the built site ask another host for anything."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts" / "site"), str(ROOT / "src")]

import reference  # noqa: E402

# Files outside docs/ that its pages link to: path in the repository -> page on the site.
OUTSIDE = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/questions/README.md": "benchmarks/questions.md",
    "examples/manuscript/README.md": "examples/manuscript.md",
    "examples/seed_questions/README.md": "examples/seed-questions.md",
}
MARK = ROOT / "src" / "sovereign" / "web" / "static" / "icon.svg"
# Hosts that Material's scripts would ask for code when a page had a diagram or the browser were very old. Ours has neither.
FOREIGN_CODE = re.compile(r"https://unpkg\.com/[\w.@/-]+")


def on_files(files: Files, config: Any) -> Files:
    for uri, text in reference.pages().items():
        files.append(File.generated(config, uri, content=text))
    for uri, path in reference.files().items():
        files.append(File.generated(config, uri, content=path.read_bytes()))
    for path, uri in OUTSIDE.items():
        files.append(File.generated(config, uri, content=(ROOT / path).read_text(encoding="utf-8")))
    files.append(File.generated(config, "assets/mark.svg", content=MARK.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    text = re.sub(r"<!-- readme: (.+?) -->", lambda m: section(m.group(1)), markdown)
    depth = page.file.src_uri.count("/")
    for path, uri in OUTSIDE.items():
        text = text.replace(f"]({'../' * (depth + 1)}{path})", f"]({'../' * depth}{uri})")
    return linked(text, page.file.src_uri, {f.src_uri for f in files.documentation_pages()})


CODE = re.compile(r"(^ *```.*?^ *```|`[^`\n]+`)", re.M | re.S)
NAMED = re.compile(r"(?<![\w/\[])(?<!\]\()docs/([\w/-]+\.md)")


def linked(text: str, here: str, known: set[str]) -> str:
    """Pages that are named by their file, `docs/models.md`, become links; in the repository the name itself leads there."""

    def link(m: re.Match[str]) -> str:
        return f"[{m[0]}]({'../' * here.count('/')}{m[1]})" if m[1] in known and m[1] != here else m[0]

    parts = CODE.split(text)
    parts[::2] = [NAMED.sub(link, part) for part in parts[::2]]
    parts[1::2] = [re.sub(r"^\[(.+?)\]", r"[`\1`]", link(m)) if (m := NAMED.fullmatch(part[1:-1])) else part for part in parts[1::2]]
    return "".join(parts)


def section(title: str) -> str:
    """One section of the README, its links as they are seen from docs/. `What it is` is what stands before the first heading."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    parts = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", readme, re.M | re.S))
    parts["What it is"] = re.sub(r"\A# .+?\n|!\[.*?\]\(.*?\)", "", readme.partition("\n## ")[0])
    if title not in parts:
        raise PluginError(f"The README has no section {title!r}; it has: {', '.join(parts)}.")
    return re.sub(r"\[docs/([\w-]+)\.md\]", r"[\1]", str(parts[title])).strip().replace("](docs/", "](")


def on_post_page(output: str, **_: Any) -> str:
    """Material's search box is a dialog without a name; a screen reader needs one."""
    return output.replace('data-md-component="search" role="dialog"', 'data-md-component="search" role="dialog" aria-label="Search"')


def on_post_build(config: Any) -> None:
    for script in Path(config["site_dir"]).rglob("*.js"):
        text = script.read_text(encoding="utf-8")
        if FOREIGN_CODE.search(text):
            script.write_text(FOREIGN_CODE.sub("data:text/javascript,", text), encoding="utf-8")
    for source_map in Path(config["site_dir"]).rglob("*.map"):
        source_map.unlink()
