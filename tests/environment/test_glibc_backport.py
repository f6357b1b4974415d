"""The backport changes exactly the imports that it knows, refuses anything else, and never writes into a linked file.

A small library is compiled with the very imports of the real ones, against stand-ins for a newer libc and libstdc++, so
that these tests need no network and run on every system; the installed libraries are looked at as well.
"""

import base64
import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from environment import glibc_backport, installed_files, symbol_versions
from environment.glibc_backport import LIBRARIES, Library, UnexpectedLibrary

lief = pytest.importorskip("lief")

OLD_GLIBC = (2, 36)

# Worked out from the six published wheels (two libraries for Python 3.11, 3.12 and 3.13) with `objdump -T`.
PUBLISHED_IMPORTS = {
    "ml-metadata": {
        ("__cxa_call_terminate", "CXXABI_1.3.15"),
        ("_ZSt21ios_base_library_initv", "GLIBCXX_3.4.32"),
    },
    "tensorflow-data-validation": {
        ("_ZSt21ios_base_library_initv", "GLIBCXX_3.4.32"),
        ("__isoc23_strtol", "GLIBC_2.38"),
        ("__isoc23_strtoul", "GLIBC_2.38"),
        ("__isoc23_strtoll", "GLIBC_2.38"),
        ("__isoc23_strtoull", "GLIBC_2.38"),
    },
}

NEW_LIBC = ("libc.so.6", """
GLIBC_2.2.5 { strlen; };
GLIBC_2.38 { __isoc23_strtol; __isoc23_strtoull; };
GLIBC_2.39 { newer_still; };
""", """long strlen() { return 0; } long __isoc23_strtol() { return 0; } long __isoc23_strtoull() { return 0; }
long newer_still() { return 0; }""")  # fmt: skip

NEW_LIBSTDCXX = ("libstdc++.so.6", """
GLIBCXX_3.4 { _ZSt4cout; _ZSt9terminatev; };
GLIBCXX_3.4.32 { _ZSt21ios_base_library_initv; };
CXXABI_1.3.15 { __cxa_call_terminate; };
""", "char _ZSt4cout[8]; void _ZSt9terminatev() {} void _ZSt21ios_base_library_initv() {} void __cxa_call_terminate() {}")  # fmt: skip

# Two imports that every system has, as the real libraries have thousands.
OLDER_IMPORTS = """
unsigned long strlen(const char *);
void _ZSt9terminatev(void);
unsigned long length(const char *text) { return strlen(text); }
void terminate(void) { _ZSt9terminatev(); }
"""

# parse() is what glibc 2.38's headers make of strtol(text, 0, 16); never() holds the imports that nothing calls.
SOURCE = f"""{OLDER_IMPORTS}
long __isoc23_strtol(const char *, char **, int);
unsigned long long __isoc23_strtoull(const char *, char **, int);
void __cxa_call_terminate(void *), _ZSt21ios_base_library_initv(void);
long parse(const char *text) {{ return __isoc23_strtol(text, 0, 16); }}
unsigned long long parse_unsigned(const char *text) {{ return __isoc23_strtoull(text, 0, 10); }}
void never(void) {{ _ZSt21ios_base_library_initv(); __cxa_call_terminate(0); }}
"""

KNOWN = Library(
    "known", "1.0", "known/library.so",
    {
        ("__isoc23_strtol", "GLIBC_2.38"): "strtol",
        ("__isoc23_strtoull", "GLIBC_2.38"): "strtoull",
        ("_ZSt21ios_base_library_initv", "GLIBCXX_3.4.32"): "_ZSt9terminatev",
        ("__cxa_call_terminate", "CXXABI_1.3.15"): "_ZSt9terminatev",
    })  # fmt: skip


def compile_library(folder: Path, source: str) -> Path:
    """A shared library from C source that imports what it uses of the stand-ins, with their versions."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc to compile a library with")
    stand_ins = []
    for soname, versions, definitions in (NEW_LIBC, NEW_LIBSTDCXX):
        stand_in = folder / f"stand-in-{soname}"
        (folder / "versions.map").write_text(versions.replace("{ ", "{ global: "))
        subprocess.run(
            ["gcc", "-w", "-shared", "-fPIC", "-nostdlib", "-x", "c", "-", "-o", stand_in, f"-Wl,-soname,{soname}",
             f"-Wl,--version-script={folder / 'versions.map'}"], input=definitions, text=True, check=True)  # fmt: skip
        stand_ins.append(stand_in)
    library = folder / "library.so"
    subprocess.run(["gcc", "-w", "-O1", "-shared", "-fPIC", "-nostdlib", "-x", "c", "-", "-o", library, "-x", "none", *stand_ins],
                   input=source, text=True, check=True)  # fmt: skip
    return library


def record_line(path: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
    return f"{path},sha256={digest},{len(content)}"


def install(site_packages: Path, library: Path, tag: str = "cp311-cp311-manylinux_2_39_x86_64") -> Path:
    """Lays out site-packages as an installer does: the library is a hard link to a file in the installer's cache."""
    installed = site_packages / KNOWN.path
    installed.parent.mkdir(parents=True)
    os.link(library, installed)
    information = site_packages / "known-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: known\nVersion: 1.0\n")
    (information / "WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {tag}\n")
    lines = ["known/__init__.py,,", record_line(KNOWN.path, library.read_bytes()), "known-1.0.dist-info/RECORD,,"]
    (information / "RECORD").write_text("\n".join(lines) + "\n")
    return installed


@pytest.fixture
def site_packages(tmp_path):
    """site-packages with the known library in it, linked from tmp_path/cache."""
    cache = tmp_path / "cache"
    cache.mkdir()
    folder = tmp_path / "site-packages"
    install(folder, compile_library(cache, SOURCE))
    return folder


def site_packages_with(tmp_path: Path, source: str) -> Path:
    folder = tmp_path / "site-packages"
    install(folder, compile_library(tmp_path, source))
    return folder


def refusal(site_packages: Path, library: Library = KNOWN) -> str:
    """The message with which a library is refused; nothing may have been written."""
    before = {path: path.read_bytes() for path in site_packages.rglob("*") if path.is_file()}
    with pytest.raises(UnexpectedLibrary) as error:
        glibc_backport.prepare_library(library, site_packages)
    assert {path: path.read_bytes() for path in site_packages.rglob("*") if path.is_file()} == before
    return str(error.value)


def test_a_prepared_library_loads_on_this_system_and_computes_with_the_older_functions(site_packages):
    assert glibc_backport.prepare_library(KNOWN, site_packages) is True
    program = f"""
import ctypes, os
library = ctypes.CDLL({str(site_packages / KNOWN.path)!r}, mode=os.RTLD_NOW)
library.parse.restype = ctypes.c_long
library.parse_unsigned.restype = ctypes.c_ulonglong
print(library.parse(b"-ff"), library.parse_unsigned(b"18446744073709551615"), library.length(b"four"))
"""
    result = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split() == ["-255", str(2**64 - 1), "4"]


def test_a_prepared_library_asks_for_the_replacements_and_for_no_newer_version(site_packages):
    path = site_packages / KNOWN.path
    assert symbol_versions.newer_imports(lief.ELF.parse(str(path))) == set(KNOWN.replacements)
    glibc_backport.prepare_library(KNOWN, site_packages)
    binary = lief.ELF.parse(str(path))
    imports = {symbol.name for symbol in binary.dynamic_symbols if symbol.imported}
    assert imports == {"strtol", "strtoull", "strlen", "_ZSt9terminatev"}
    required = {auxiliary.name for r in binary.symbols_version_requirement for auxiliary in r.get_auxiliary_symbols()}
    assert required == {"GLIBC_2.2.5", "GLIBCXX_3.4"}


def test_preparing_twice_changes_nothing_the_second_time(site_packages):
    glibc_backport.prepare_library(KNOWN, site_packages)
    files = [path for path in site_packages.rglob("*") if path.is_file()]
    before = [(path, path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns) for path in files]
    assert glibc_backport.prepare_library(KNOWN, site_packages) is False
    assert [(path, path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns) for path in files] == before


def test_the_file_in_the_installers_cache_is_not_written_into(site_packages, tmp_path):
    cached = tmp_path / "cache" / "library.so"
    published = cached.read_bytes()
    assert os.path.samefile(cached, site_packages / KNOWN.path)
    glibc_backport.prepare_library(KNOWN, site_packages)
    assert cached.read_bytes() == published
    assert (site_packages / KNOWN.path).read_bytes() != published
    assert not list(site_packages.rglob("*.partial"))


def test_the_record_gets_hash_and_size_of_the_new_file_and_keeps_the_other_lines(site_packages):
    glibc_backport.prepare_library(KNOWN, site_packages)
    expected = record_line(KNOWN.path, (site_packages / KNOWN.path).read_bytes())
    record = site_packages / "known-1.0.dist-info" / "RECORD"
    assert record.read_text() == f"known/__init__.py,,\n{expected}\nknown-1.0.dist-info/RECORD,,\n"


def test_a_record_that_was_not_reached_before_an_interruption_is_written_the_next_time(site_packages):
    record = site_packages / "known-1.0.dist-info" / "RECORD"
    published = record.read_text()
    glibc_backport.prepare_library(KNOWN, site_packages)
    complete = record.read_text()
    record.write_text(published)
    glibc_backport.prepare_library(KNOWN, site_packages)
    assert record.read_text() == complete != published


def test_another_version_is_refused(site_packages):
    message = refusal(site_packages, dataclasses.replace(KNOWN, version="1.1"))
    assert "known 1.0 is installed, but only 1.1 has been examined" in message


def test_a_library_that_would_require_no_version_at_all_of_another_is_refused(tmp_path):
    source = SOURCE.removeprefix(OLDER_IMPORTS)
    assert "would keep no version required of libc.so.6" in refusal(site_packages_with(tmp_path, source))


def test_an_unknown_symbol_that_is_too_new_is_refused(tmp_path):
    source = SOURCE + "long newer_still(void); long other(void) { return newer_still(); }"
    assert "Unexpected: [('newer_still', 'GLIBC_2.39')]" in refusal(site_packages_with(tmp_path, source))


def test_a_library_that_lacks_a_known_symbol_is_refused(tmp_path):
    source = "long __isoc23_strtol(const char *, char **, int); long parse(char *t) { return __isoc23_strtol(t, 0, 16); }"
    message = refusal(site_packages_with(tmp_path, source))
    assert "Unexpected: []" in message
    assert "('__isoc23_strtoull', 'GLIBC_2.38')" in message


def test_a_library_that_uses_a_standard_stream_is_refused(tmp_path):
    source = SOURCE + "extern char _ZSt4cout[]; char *stream(void) { return _ZSt4cout; }"
    assert "uses the standard streams ['_ZSt4cout']" in refusal(site_packages_with(tmp_path, source))


def test_a_file_that_is_no_library_is_refused(tmp_path):
    (tmp_path / "library.so").write_text("not an ELF file")
    install(tmp_path / "site-packages", tmp_path / "library.so")
    assert "is missing or not an ELF library" in refusal(tmp_path / "site-packages")


def test_an_absent_distribution_is_refused(site_packages):
    assert "got 0 times" in refusal(site_packages, dataclasses.replace(KNOWN, distribution="unknown"))


def test_another_package_that_is_too_new_for_the_system_is_refused(site_packages):
    with pytest.raises(UnexpectedLibrary, match="known were published for a newer glibc than 2.36"):
        glibc_backport.prepare(site_packages, OLD_GLIBC)


@pytest.mark.parametrize("tag", ["cp311-cp311-manylinux_2_17_x86_64", "py3-none-any", "cp311-cp311-manylinux2014_x86_64"])
def test_a_package_for_older_systems_is_not_taken_for_one_that_is_too_new(tmp_path, tag):
    (tmp_path / "library.so").write_bytes(b"")
    install(tmp_path / "site-packages", tmp_path / "library.so", tag)
    assert installed_files.newer_wheels(tmp_path / "site-packages", OLD_GLIBC) == set()


@pytest.mark.parametrize("glibc", [(2, 39), (2, 41), (3, 0)])
def test_nothing_is_looked_at_where_the_wheels_are_published_for_the_system(tmp_path, glibc):
    assert glibc_backport.prepare(tmp_path / "absent", glibc) == []


@pytest.mark.parametrize("version, newer", [
    ("GLIBC_2.34", False), ("GLIBC_2.4", False), ("GLIBC_2.35", True), ("GLIBC_2.100", True), ("GLIBC_PRIVATE", True),
    ("GLIBCXX_3.4", False), ("GLIBCXX_3.4.29", False), ("GLIBCXX_3.4.30", True), ("CXXABI_1.3.13", False),
    ("CXXABI_1.3.14", True), ("CXXABI_TM_1", True), ("OTHER_1.0", True),
])  # fmt: skip
def test_symbol_versions_are_compared_number_by_number(version, newer):
    assert symbol_versions.is_newer(version) is newer


def test_the_table_is_what_the_published_wheels_import():
    assert {library.distribution: set(library.replacements) for library in LIBRARIES} == PUBLISHED_IMPORTS
    for library in LIBRARIES:
        for (symbol, _), replacement in library.replacements.items():
            assert replacement in (symbol.removeprefix("__isoc23_"), "_ZSt9terminatev")


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.distribution)
def test_the_installed_library_is_the_published_one_or_a_prepared_one(library):
    path = Path(sysconfig.get_paths()["platlib"]) / library.path
    if not path.exists():
        pytest.skip(f"{library.distribution} is not installed")
    binary = lief.ELF.parse(str(path))
    if not glibc_backport.is_prepared(library, binary):
        glibc_backport.check_imports(library, binary)
        assert glibc_backport.host_glibc() >= glibc_backport.PUBLISHED_FOR
