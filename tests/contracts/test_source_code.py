"""The hash of the code that a module runs: found from the imports, changed by what code does and by nothing else."""

import ast
import pathlib
import subprocess

import pytest

from contracts import source_code
from contracts.source_code import PROJECT, file_hashes, package_modules, version
from pipeline.identity import EXECUTED

ENTRY = '''"""What it is."""

import typing

from contracts import names

if typing.TYPE_CHECKING:
    from trainer import only_for_types


def entry(value=1):
    """What it promises."""
    from trainer.late import number  # imported when it runs

    return f"{value} of {number()!r}" + names.NAME
'''


@pytest.fixture
def project(tmp_path):
    """trainer.entry imports contracts.names and, inside a function, trainer.late; nothing else."""
    sources = {
        "contracts/__init__.py": "", "contracts/names.py": "NAME = 'n'\n", "contracts/other.py": "OTHER = 1\n",
        "trainer/__init__.py": '"""Says what."""\n', "trainer/entry.py": ENTRY, "trainer/late.py": "def number():\n    return 3\n",
        "trainer/unrelated.py": "x = 1\n", "trainer/only_for_types.py": "y = 1\n", "trainer/templates/page.html": "<p>\n",
        "pipeline_config.py": "SETTING = 1\n",
    }  # fmt: skip
    for name, text in sources.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def hashes(project):
    source_code._parsed.cache_clear()  # two edits within one tick of the clock are no case for a run
    return file_hashes(["trainer.entry"], project)


def test_the_files_are_those_that_it_imports_directly_or_not_and_what_lies_beside_them(project):
    assert list(hashes(project)) == ["contracts/__init__.py", "contracts/names.py", "trainer/__init__.py", "trainer/entry.py",
                                     "trainer/late.py", "trainer/templates/page.html"]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new"), [
    ("trainer/entry.py", "value=1", "value=2"),
    ("trainer/entry.py", "{value} of", "{value}  of"),
    ("trainer/entry.py", "!r}", "!s}"),
    ("trainer/late.py", "3", "3.0"),
    ("trainer/late.py", "number()", "number(*, a=None)"),
    ("contracts/names.py", "'n'", "b'n'"),
    ("trainer/templates/page.html", "<p>", "<b>"),
])  # fmt: skip
def test_what_changes_what_it_does_changes_the_hash_of_that_file_alone(project, name, old, new):
    before = hashes(project)
    path = project / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    after = hashes(project)
    assert {file for file in before if before[file] != after[file]} == {name} and version(after) != version(before)


@pytest.mark.parametrize(("name", "old", "new"), [
    ("trainer/entry.py", '"""What it promises."""', '"""What it promises, in other words."""'),
    ("trainer/entry.py", '"""What it promises."""\n', "\n"),
    ("trainer/entry.py", "# imported when it runs", "# imported late"),
    ("trainer/entry.py", "def entry(value=1):", "def entry(\n    value=1,\n):"),
    ("trainer/entry.py", '"{value} of {number()!r}"', '"{value} " f"of {number()!r}"'),
    ("contracts/names.py", "'n'", '"n"'),
    ("trainer/unrelated.py", "1", "2"),
    ("trainer/only_for_types.py", "1", "2"),
    ("contracts/other.py", "1", "2"),
    ("pipeline_config.py", "1", "2"),
])  # fmt: skip
def test_words_layout_and_what_is_not_imported_change_nothing(project, name, old, new):
    before = hashes(project)
    path = project / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert hashes(project) == before


def test_an_added_and_a_removed_import_change_the_files(project):
    path = project / "trainer" / "entry.py"
    path.write_text(path.read_text() + "\nfrom trainer import unrelated\n")
    assert "trainer/unrelated.py" in hashes(project)
    path.write_text("X = 1\n")
    assert list(hashes(project)) == ["trainer/__init__.py", "trainer/entry.py", "trainer/templates/page.html"]


def test_an_incomplete_installation_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="trainer.pretrain has no source file.*incomplete"):
        file_hashes(["trainer.pretrain"], tmp_path)
    with pytest.raises(FileNotFoundError, match="incomplete"):
        package_modules(["trainer"], tmp_path)


@pytest.mark.parametrize("node", EXECUTED)
def test_every_project_module_that_importing_a_node_loads_is_among_its_files(forked, node):
    code = (
        "import importlib, os, sys\n"
        f"importlib.import_module({EXECUTED[node]!r})\n"
        f"found = [getattr(m, '__file__', None) or '' for n, m in sys.modules.items() if n.partition('.')[0] in {source_code.PACKAGES!r}]\n"
        f"print('\\n'.join(os.path.relpath(f, {str(PROJECT)!r}) for f in found if f.startswith({str(PROJECT)!r})))"
    )
    loaded = forked.run(["-c", code], cwd=PROJECT, capture_output=True, text=True, check=True).stdout.split()
    assert len(loaded) > 2 and set(loaded) <= set(file_hashes([EXECUTED[node]]))


def test_no_module_of_a_node_is_imported_by_a_name_that_only_running_knows():
    for name in {file for module in EXECUTED.values() for file in file_hashes([module]) if file.endswith(".py")}:
        called = {node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                  for node in ast.walk(ast.parse((PROJECT / name).read_text())) if isinstance(node, ast.Call)}  # fmt: skip
        assert not called & {"import_module", "__import__", "exec", "eval"}, name


def interpreters():
    """Other versions of Python on this machine that the project supports."""
    known = [pathlib.Path(folder, f"python3.{minor}") for minor in (11, 12, 13) for folder in ("/usr/bin", "/usr/local/bin")]
    return [path for path in known if path.exists()]


@pytest.mark.parametrize("python", interpreters() or [pytest.param(None, marks=pytest.mark.skip(reason="no other Python here"))])
def test_another_version_of_python_finds_the_same_hashes(python):
    code = "from contracts import source_code as s; print(s.version(s.file_hashes(s.package_modules(s.PACKAGES))))"
    there = subprocess.run([str(python), "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()
    assert there == version(file_hashes(package_modules(source_code.PACKAGES)))
