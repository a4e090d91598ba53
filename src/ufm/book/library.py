"""The library's reference: what Sphinx documents of each room, a page a room, so that no page lists modules by hand."""

import ast
import tomllib
from collections.abc import Collection
from pathlib import Path

from ufm import paths
from ufm.records.provenance import LIBRARY

PAGE = "api.md"  # of the library; the page of a room lies in a folder of its name
PLACE = "<!-- rooms -->"  # where its rooms stand there


def write(source: Path) -> list[str]:
    """List the rooms on the library's page in a folder of pages, and write their own beside it: their names."""
    page = source / PAGE
    page.write_text(page.read_text(encoding="utf-8").replace(PLACE, contents()), encoding="utf-8")
    folder = source / page.stem
    folder.mkdir()
    for room, text in reference().items():
        (folder / f"{room}.md").write_text(text, encoding="utf-8")
    return [f"{folder.name}/{room}" for room in rooms()]


def contents() -> str:
    """A row a room, the lowest first, with a link to its page and its purpose in a line."""
    lines = ["| room | what it is for |", "|---|---|"]
    lines += [f"| [`ufm.{room}`](api/{room}.md) | {purpose(room).partition(chr(10))[0]} |" for room in rooms()]
    return "\n".join(lines)


def reference() -> dict[str, str]:
    """The page of each room, the lowest first: its purpose, its face, and the modules that the face does not cover."""
    pages = {}
    for room in rooms():
        package = LIBRARY / room / "__init__.py"
        faces = [f"ufm.{room}"] if public(package) else []
        parts = [documented(name) for name in faces]
        for module in sorted(package.parent.glob("[!_]*.py")):
            left = public(module) - public(package)
            if left:
                parts.append(documented(f"ufm.{room}.{module.stem}", without=public(module) - left))
        pages[room] = "\n".join([f"# Library: {room.replace('_', ' ')}\n", f"{purpose(room)}\n", *parts])
    return pages


def purpose(room: str) -> str:
    """What a room says of itself."""
    package = LIBRARY / room / "__init__.py"
    return ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))) or ""


def rooms() -> list[str]:
    """The packages of the library, the lowest first."""
    contracts = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    [layers] = [contract["layers"] for contract in contracts["contracts"] if contract["id"] == "layers"]
    return [layer for layer in reversed(layers) if (LIBRARY / layer / "__init__.py").exists()]


def public(module: Path) -> set[str]:
    """The names that a module offers: what it lists in `__all__`, else its functions and classes."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    defined = (node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef))
    return {name for name in defined if not name.startswith("_")}


def documented(module: str, without: Collection[str] = ()) -> str:
    """A module's heading, and Sphinx's directive for its members but those `without`."""
    options = ["   :members:", *([f"   :exclude-members: {', '.join(sorted(without))}"] if without else [])]
    lines = [f"## `{module}`\n", "```{eval-rst}", f".. automodule:: {module}", *options, "```\n"]
    return "\n".join(lines)
