"""The library's reference: what Sphinx documents of each room, so that no page lists modules by hand."""

import ast
import tomllib
from collections.abc import Collection
from pathlib import Path

from ufm import paths
from ufm.records.provenance import LIBRARY

PLACE = "<!-- rooms -->"  # of the page of the library, where its rooms stand


def reference() -> str:
    """A section a room, the lowest first, with its purpose, its face, and the modules that the face does not cover."""
    sections = []
    for room in rooms():
        package = LIBRARY / room / "__init__.py"
        purpose = ast.get_docstring(ast.parse(package.read_text(encoding="utf-8")))
        faces = [f"ufm.{room}"] if public(package) else []
        parts = [documented(name) for name in faces]
        for module in sorted(package.parent.glob("[!_]*.py")):
            left = public(module) - public(package)
            if left:
                parts.append(documented(f"ufm.{room}.{module.stem}", without=public(module) - left))
        sections.append("\n".join([f"## {room.capitalize()}\n", f"{purpose}\n", *parts]))
    return "\n".join(sections)


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
    lines = [f"### `{module}`\n", "```{eval-rst}", f".. automodule:: {module}", *options, "```\n"]
    return "\n".join(lines)
