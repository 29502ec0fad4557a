"""What mkdocs does not do by itself: pages of the API, and of files outside ``docs/``.

A hook of ``mkdocs.yml``. Every public function's page is made of its docstring. Links from pages to
files of the repository (``../src/weft/demo/fluid.py``) lead to a page that shows the file, so that
the same text works in the repository and on the site.
"""

from __future__ import annotations

import importlib
import inspect
import posixpath
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]

_TEXT = """
    weft weft.numpy weft.numpy.linalg weft.numpy.fft weft.lax weft.lax.linalg weft.nn
    weft.nn.initializers weft.random weft.optim weft.lazy weft.tiles weft.image weft.ops weft.tree
    weft.scipy.special weft.scipy.linalg weft.scipy.fft weft.scipy.signal
    weft.scipy.ndimage weft.scipy.integrate weft.scipy.cluster.vq weft.scipy.optimize
    weft.scipy.interpolate weft.scipy.stats weft.scipy.sparse.linalg weft.debug
"""
NAMESPACES = _TEXT.split()

#: Pages of the site that lie outside ``docs``.
OUTSIDE = ("bench/README.md", "bench/RESULTS.md", "CHANGELOG.md", "src/weft/demo/DATA.md")

_LINK = re.compile(r"\[([^\[\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """Fill in the pages of the API, and pages that nobody has put anywhere, in the navigation."""
    listed = str(config.nav)
    for entry in config.nav:
        if "API" in entry:
            entry["API"] = [{name: f"api/{name}.md"} for name in NAMESPACES]
        if "Guides" in entry:
            pages = sorted(page.name for page in (ROOT / "docs").glob("*.md"))
            entry["Guides"] += [page for page in pages if f"'{page}'" not in listed]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made, and those of files that pages link to."""
    for name in NAMESPACES:
        files.append(File.generated(config, f"api/{name}.md", content=api_page(name)))
    for path in OUTSIDE:
        files.append(File.generated(config, path, content=(ROOT / path).read_text()))
    for path in sorted(_linked_files(files)):
        files.append(File.generated(config, f"source/{path}.md", content=source_page(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Lead links out of ``docs`` to the pages of their files, and mark sessions as such."""
    here = posixpath.dirname(page.file.src_uri)

    def led(found: re.Match[str]) -> str:
        text, link, anchor = found.groups(default="")
        path = _repository_path(page.file.src_uri, link)
        if path is None:
            return found[0]
        for uri in (path, f"source/{path}.md", path.removeprefix("docs/")):
            if files.get_file_from_path(uri):
                return f"[{text}]({posixpath.relpath(uri, here)}{anchor})"
        return text  # a folder

    markdown = _LINK.sub(led, markdown)
    return re.sub(r"```python\n(?=>>> )", "```pycon\n", markdown)


def _repository_path(uri: str, link: str) -> str | None:
    """The path from the repository's root that a page's link leads to; None if it stays in docs."""
    folder = posixpath.dirname(uri if uri in OUTSIDE else f"docs/{uri}")
    path = posixpath.normpath(posixpath.join(folder, link))
    inside = path.startswith("docs/") and uri not in OUTSIDE
    return None if inside or path.startswith("..") else path


def _linked_files(files: Files) -> set[str]:
    found = set()
    for file in files.documentation_pages():
        if not file.src_uri.startswith("api/"):
            for match in _LINK.finditer(file.content_string):
                path = _repository_path(file.src_uri, match[2])
                if path and (ROOT / path).is_file() and path not in OUTSIDE:
                    found.add(path)
    return {path for path in found if not path.startswith("docs/")}


def source_page(path: str) -> str:
    """A page that shows a file."""
    language = {".py": "python", ".md": "markdown", ".yml": "yaml"}.get(Path(path).suffix, "text")
    text = (ROOT / path).read_text()
    return f"# {path}\n\n````{language}\n{text}````\n"


def public(namespace: str) -> Iterator[tuple[str, Any]]:
    """The functions and classes of a namespace, by name."""
    module = importlib.import_module(namespace)
    for name in sorted(getattr(module, "__all__", None) or dir(module), key=str.lower):
        value = getattr(module, name)
        home = getattr(value, "__module__", None) or ""
        imported = not hasattr(module, "__all__") and home != namespace
        if isinstance(value, types.ModuleType) or imported or not home.startswith("weft"):
            continue
        if callable(value) and not name.startswith("_") and not name.endswith("_p"):
            yield name, value


def api_page(namespace: str) -> str:
    """The page of a namespace: what it is, and each function with signature and docstring."""
    module = importlib.import_module(namespace)
    parts = [f"# {namespace}", as_markdown(inspect.getdoc(module) or "")]
    for name, value in public(namespace):
        parts += [f"## {name}", f"```python\n{name}{_signature(value)}\n```"]
        parts.append(as_markdown(inspect.getdoc(value) or ""))
    return "\n\n".join(parts) + "\n"


def _signature(value: Any) -> str:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # classes and callables that have none
        return ""
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    text = str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))
    return re.sub(r"<([\w. ]+?)( at 0x\w+)?>", r"\1", text)


def as_markdown(text: str) -> str:
    """A docstring as Markdown: examples become sessions, what is indented stays as it is."""
    lines: list[str] = []
    session = False
    # Headings of numpydoc's sections.
    for line in re.sub(r"^(\w[\w ]*)\n-{3,}$", r"**\1**\n", text, flags=re.M).splitlines():
        starts = line.startswith(">>> ")
        if starts and not session:
            lines += ["", "```pycon"]
            session = True
        elif session and not line.strip():
            lines.append("```")
            session = False
        lines.append(line if session else re.sub(r":[a-z]+:(?=`)", "", line))
    if session:
        lines.append("```")
    return "\n".join(_escaped(lines))


def _escaped(lines: list[str]) -> Iterator[str]:
    """Brackets and stars outside code are meant as they are."""
    code = False
    for line in lines:
        code ^= line.startswith("```")
        if code or line.startswith("    "):
            yield line
            continue
        pieces = re.split(r"(``?[^`]*``?)", line)
        yield "".join(
            piece if place % 2 else re.sub(r"([\[\]<>_]|(?<!\*)\*(?!\*))", r"\\\1", piece)
            for place, piece in enumerate(pieces)
        )
