"""What a user hands over to be run in Lambda: a file, a package, a directory or a text, read and checked without being
executed.

A file may import others that lie beside it. Those come along, and what they import in turn: whoever wrote `import
prices` in shop.py expects prices.py to be there. A directory that is no package is taken whole, as the root of the
bundle.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec

from rota.aws.archive import UNZIPPED_LIMIT
from rota.core.errors import InvalidError, NotFoundError

_NOT_CODE = {"__pycache__", "node_modules", "venv"}
_HANDLER_FILES = ("handler", "lambda_function", "app", "main")
_HANDLER_NAMES = ("handler", "lambda_handler")


class Source(msgspec.Struct, frozen=True):
    """files: contents by name within the bundle. module: the dotted name of the module that is meant, "" for a
    directory that has several. requirements: the `requirements.txt` beside it. imports: the first words of all that
    its files import."""

    files: dict[str, bytes]
    module: str
    requirements: Path | None
    imports: frozenset[str]


def read_module(path: Path) -> Source:
    """A Python file or a package directory, with what it imports from beside it.

    NotFoundError if there is none, InvalidError for something else or a syntax error (named with its line)."""
    if path.is_dir():
        if not (path / "__init__.py").is_file():
            raise InvalidError("module", str(path), "a .py file, or a package: a directory with an __init__.py")
    elif not path.is_file():
        raise NotFoundError("file", str(path))
    elif path.suffix != ".py":
        raise InvalidError("file", str(path), "a Python file (.py)")
    place = path.resolve()
    if not place.stem.isidentifier():
        raise InvalidError("file", path.name, "a name that Python can import: letters, digits and _")
    files: dict[str, bytes] = {}
    imports: set[str] = set()
    waiting = [place]
    while waiting:
        found = _gather(waiting.pop(), place.parent)
        files |= found
        words = imports_of(found)
        for word in sorted(words - imports):
            imports.add(word)
            waiting += _beside(place.parent, word)
    return Source(files, place.stem, _requirements(place.parent), frozenset(imports))


def read_directory(path: Path) -> Source:
    """All files of a directory, as the root of the bundle; a package directory as the package that it is."""
    if not path.is_dir():
        raise NotFoundError("directory", str(path))
    if (path / "__init__.py").is_file():
        return read_module(path)
    place = path.resolve()
    files = _gather(place, place)
    modules = sorted(name.removesuffix(".py") for name in files if name.endswith(".py") and "/" not in name)
    if not modules:
        raise InvalidError("directory", str(path), "a directory with at least one Python file")
    module = next((name for name in _HANDLER_FILES if name in modules), modules[0] if len(modules) == 1 else "")
    return Source(files, module, _requirements(place), frozenset(imports_of(files)))


def read_text(text: str, module: str = "handler") -> Source:
    """Source text as a module of this name."""
    files = {f"{module}.py": text.encode()}
    return Source(files, module, None, frozenset(imports_of(files)))


def choose_handler(source: Source, handler: str | None = None) -> str:
    """The handler to run, MODULE.FUNCTION, after a look into the source whether it is there.

    Left out, or without a module, it is looked for in the source's own: `handler` or `lambda_handler`. InvalidError if
    there is no such function, if it is a coroutine (which Lambda does not await), or if nothing says which is meant."""
    module, _, function = (handler or "").rpartition(".")
    module = module or source.module
    if not module:
        raise InvalidError("handler", handler, "MODULE.FUNCTION, as the directory has several modules")
    path = module.replace(".", "/")
    name = next((it for it in (f"{path}.py", f"{path}/__init__.py") if it in source.files), None)
    if name is None:
        modules = sorted(it.removesuffix(".py").replace("/", ".") for it in source.files if it.endswith(".py"))
        raise InvalidError("handler", handler, f"in a module of the source: {', '.join(modules[:10])}")
    defined, coroutines, open_ended = _top_level(_parse(name, source.files[name]))
    wanted = (function,) if function else _HANDLER_NAMES
    for word in wanted:
        if word in coroutines:
            raise InvalidError("handler", f"{module}.{word}", "an ordinary function: Lambda does not await `async def`")
        if word in defined:
            return f"{module}.{word}"
    if open_ended and function:
        return f"{module}.{function}"
    said = ", ".join(sorted(it for it in defined if not it.startswith("_"))) or "none"
    sought = " or ".join(f"`def {word}(event, context)`" for word in wanted)
    raise InvalidError("handler", f"{module}.{wanted[0]}", f"{name} must have {sought}; it defines: {said}")


def _gather(path: Path, root: Path) -> dict[str, bytes]:
    """The contents of the files at or under `path`, by their names from `root`. What can be no bundle is not read."""
    files = list(_walk(path))
    size = sum(file.stat().st_size for file in files)
    if size > UNZIPPED_LIMIT:
        allowed = f"at most {UNZIPPED_LIMIT:,} bytes, dependencies included"
        raise InvalidError("directory" if path.is_dir() else "file", f"{path}: {size:,} bytes", allowed)
    try:
        return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}
    except OSError as error:
        raise InvalidError("file", error.filename, f"what can be read ({error.strerror})") from None


def _walk(path: Path) -> Iterator[Path]:
    """The files at or under `path`; nothing hidden, compiled or installed."""
    if path.is_file():
        yield path
        return
    for child in sorted(path.iterdir()):
        # Errors cut long values, and the end of a path is what tells.
        if child.name.startswith(".") or child.name in _NOT_CODE or child.suffix == ".pyc":
            continue
        if child.is_dir() and child.is_symlink():
            raise InvalidError(
                "directory", f"{child.parent.name}/{child.name}", "no symbolic link to a directory within the source"
            )
        if not child.is_dir() and not child.is_file():
            raise InvalidError(
                "file",
                f"{child.parent.name}/{child.name}",
                "files and directories within the source, and links that lead to a file",
            )
        yield from _walk(child)


def _beside(folder: Path, word: str) -> list[Path]:
    file, package = folder / f"{word}.py", folder / word
    if (package / "__init__.py").is_file():
        return [package]
    return [file] if file.is_file() else []


def _requirements(folder: Path) -> Path | None:
    file = folder / "requirements.txt"
    return file if file.is_file() else None


def _parse(name: str, content: bytes) -> ast.Module:
    try:
        return ast.parse(content, name)
    except SyntaxError as error:
        raise InvalidError(
            "source", name, f"Python without syntax errors ({name}:{error.lineno}: {error.msg})"
        ) from None
    except ValueError as error:  # null bytes
        raise InvalidError("source", name, f"Python source text ({error})") from None


def imports_of(files: dict[str, bytes]) -> set[str]:
    """The first words of all that the Python files among `files` import; relative imports aside."""
    words: set[str] = set()
    for name, content in files.items():
        if not name.endswith(".py"):
            continue
        for node in ast.walk(_parse(name, content)):
            if isinstance(node, ast.Import):
                words |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                words.add(node.module.partition(".")[0])
    return words


def _top_level(tree: ast.Module) -> tuple[set[str], set[str], bool]:
    """The names that the module binds, those of them that are coroutines, and whether `import *` may bind more."""
    defined: set[str] = set()
    coroutines: set[str] = set()
    open_ended = False
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.add(node.name)
            if isinstance(node, ast.AsyncFunctionDef):
                coroutines.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.asname or alias.name.partition(".")[0] for alias in node.names}
            open_ended = open_ended or "*" in names
            defined |= names
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
        else:
            waiting += ast.iter_child_nodes(node)
    return defined, coroutines, open_ended
