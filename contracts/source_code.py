"""The code that runs when a module runs, as hashes: of the module, and of every module of the project that it imports.

Imports are read from the import statements, at the top of a file and inside functions; there is no list to maintain. A hash is
that of the syntax tree without comments, docstrings and layout, and is the same for Python 3.11 to 3.13: it changes only with an
edit that may change what the code does. Files beside a module that are not Python, such as a page's templates, belong to it.
"""

import ast
import functools
import hashlib
import pathlib
from collections.abc import Iterable, Iterator, Mapping

from contracts.files import json_sha256

PROJECT = pathlib.Path(__file__).resolve().parent.parent

# The packages whose code a node may run. pipeline_config is none of them: its values reach nodes as parameters.
PACKAGES = ("components", "contracts", "registry", "trainer", "vertex")

# Of a file's SHA-256: 48 bits distinguish any two versions of a file, and a node's list of files stays readable.
HEX_DIGITS = 12

# Fields of a syntax tree that do not change what runs.
WITHOUT_MEANING = ("ctx", "kind", "type_comment", "type_ignores")


def file_hashes(modules: Iterable[str], project: pathlib.Path = PROJECT) -> dict[str, str]:
    """Hash by path below `project`, sorted, of all files that run when these modules run.

    Args:
      modules: dotted names, such as `trainer.pretrain`.

    Raises:
      FileNotFoundError: one of the modules has no source file.
    """
    files: dict[str, str] = {}
    for name, path in sorted(_closure(modules, project).items()):
        files[path.relative_to(project).as_posix()] = _code_hash(path, path.stat().st_mtime_ns)
        for beside in _files_beside(project.joinpath(*name.split(".")) if path.name == "__init__.py" else path.parent):
            files[beside.relative_to(project).as_posix()] = hashlib.sha256(beside.read_bytes()).hexdigest()[:HEX_DIGITS]
    return dict(sorted(files.items()))


def version(files: Mapping[str, str]) -> str:
    """One hash of what `file_hashes` gave, HEX_DIGITS long."""
    return json_sha256(files)[:HEX_DIGITS]


def package_modules(packages: Iterable[str], project: pathlib.Path = PROJECT) -> list[str]:
    """The dotted names of all modules below these packages.

    Raises:
      FileNotFoundError: one of them holds none.
    """
    found = []
    for package in packages:
        paths = sorted((project / package).rglob("*.py"))
        if not paths:
            raise FileNotFoundError(f"no source file below {project / package}: the installation is incomplete")
        found += [".".join(path.relative_to(project).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return found


def imported_names(path: pathlib.Path) -> frozenset[str]:
    """Dotted names of everything that a file may import: modules, and names from them. Imports for type checkers do not count."""
    return _parsed(path, path.stat().st_mtime_ns)[1]


def _closure(modules: Iterable[str], project: pathlib.Path) -> dict[str, pathlib.Path]:
    """The modules, those that they import, directly or not, and the packages around them, as importing runs these too."""
    found: dict[str, pathlib.Path] = {}
    pending = list(modules)
    for name in pending:
        if _file(name, project) is None:
            raise FileNotFoundError(f"module {name} has no source file below {project}: the installation is incomplete")
    while pending:
        parts = pending.pop().split(".")
        for name in (".".join(parts[:count]) for count in range(1, len(parts) + 1)):
            path = _file(name, project)
            if path is not None and name not in found:
                found[name] = path
                pending += [one for one in imported_names(path) if one.partition(".")[0] in PACKAGES]
    return found


def _file(name: str, project: pathlib.Path) -> pathlib.Path | None:
    """The source of a module or package; None if `name` is something inside a module."""
    base = project.joinpath(*name.split("."))
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)


def _files_beside(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Files of a package that are not Python, also in folders that are not packages themselves."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__pycache__")) or path.name.endswith("~"):
            continue
        if path.is_dir():
            if not (path / "__init__.py").exists():
                yield from _files_beside(path)
        elif path.suffix not in (".py", ".pyc"):
            yield path


def _code_hash(path: pathlib.Path, changed: int) -> str:
    return _parsed(path, changed)[0]


@functools.cache
def _parsed(path: pathlib.Path, changed: int) -> tuple[str, frozenset[str]]:
    """A file's hash, and what it imports; `changed` is when it was written last, so that an edited file is read again."""
    del changed
    tree = ast.parse(path.read_bytes())
    digest = hashlib.sha256(repr(_essence(tree)).encode("utf-8", "surrogatepass")).hexdigest()[:HEX_DIGITS]
    return digest, frozenset(_imports(tree.body))


def _essence(node: object) -> object:
    """A syntax tree as nested tuples of what has a meaning, the same for every version of Python.

    Empty fields are left out, as newer versions have more of them.
    """
    if isinstance(node, ast.AST):
        if isinstance(node, ast.JoinedStr):
            return ("JoinedStr", tuple(_essence(part) for part in _merged(node.values)))
        fields = ((name, value) for name, value in ast.iter_fields(node) if name not in WITHOUT_MEANING)
        return (type(node).__name__, *((name, _essence(value)) for name, value in fields if value is not None and value != []))
    if isinstance(node, list):
        # A statement that is only a string does nothing: docstrings are such statements.
        return tuple(_essence(one) for one in node if not _is_text(one))
    return (type(node).__name__, repr(node))


def _is_text(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _merged(values: list[ast.expr]) -> Iterator[ast.expr]:
    """The parts of an f-string, with pieces of text between two expressions joined: versions of Python split them differently."""
    text = ""
    for value in values:
        if isinstance(value, ast.Constant):
            text += value.value
            continue
        if text:
            yield ast.Constant(text)
            text = ""
        yield value
    if text:
        yield ast.Constant(text)


def _imports(statements: Iterable[ast.AST]) -> Iterator[str]:
    for node in statements:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from _imports(node.orelse)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports here are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from _imports(ast.iter_child_nodes(node))
