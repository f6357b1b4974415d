"""Lets TFX's two newest-systems-only libraries run on systems with glibc 2.34 to 2.38.

TFX publishes ml-metadata and tensorflow-data-validation 1.21.0 for glibc 2.39 and later (wheel tag manylinux_2_39). Their
libraries import six symbols that Debian 12, Ubuntu 22.04 and RHEL 9 lack; each has an equivalent there:

`__isoc23_strtol`, `strtoul`, `strtoll`, `strtoull` (glibc 2.38) become `strtol` and so on. The only difference is that the
    newer functions also read C23's binary literals ("0b101") if the base is 2 or 0.
`__cxa_call_terminate` (GCC 13) becomes `std::terminate()`. The compiler calls it when an exception leaves a noexcept
    function; it marks the exception as caught and calls std::terminate(). Neither returns, and a function without
    parameters ignores the one argument that is passed. The process ends either way.
`std::ios_base_library_init()` (GCC 13) becomes `std::terminate()` too. Nothing calls it: including <iostream> makes the
    compiler refer to it, so that a program only loads with a libstdc++ that initialises std::cout and the like itself. An
    older libstdc++ leaves that to the program, which does not do it if it was compiled this way. So this is safe only for a
    library that uses none of these streams, which is checked.

A renamed import loses its version, and versions that are no longer used leave the list of required ones. Versions, symbols
and streams are checked before anything is written: a build that differs in any of them is an error.
"""

import ctypes
import os
import sys
import sysconfig
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path

from environment.installed_files import UnexpectedLibrary, find_distribution, newer_wheels, replace_file, update_record
from environment.symbol_versions import STANDARD_STREAMS, imported_names, is_newer, newer_imports, newer_requirements

# The oldest glibc for which the wheels are published; on this or a newer one nothing is changed.
PUBLISHED_FOR = (2, 39)

TERMINATE = "_ZSt9terminatev"


@dataclass(frozen=True)
class Library:
    """One library: its distribution and version, its path in site-packages, and every import that is too new."""

    distribution: str
    version: str
    path: str
    # (symbol, required version) -> the symbol that replaces it
    replacements: dict[tuple[str, str], str]


LIBRARIES = (
    Library(
        "ml-metadata", "1.21.0", "ml_metadata/metadata_store/pywrap/metadata_store_extension.so",
        {
            ("__cxa_call_terminate", "CXXABI_1.3.15"): TERMINATE,
            ("_ZSt21ios_base_library_initv", "GLIBCXX_3.4.32"): TERMINATE,
        }),
    Library(
        "tensorflow-data-validation", "1.21.0", "tensorflow_data_validation/pywrap/tensorflow_data_validation_extension.so",
        {
            ("_ZSt21ios_base_library_initv", "GLIBCXX_3.4.32"): TERMINATE,
            ("__isoc23_strtol", "GLIBC_2.38"): "strtol",
            ("__isoc23_strtoul", "GLIBC_2.38"): "strtoul",
            ("__isoc23_strtoll", "GLIBC_2.38"): "strtoll",
            ("__isoc23_strtoull", "GLIBC_2.38"): "strtoull",
        }),
)  # fmt: skip


def check_version(library: Library, distribution: Distribution) -> None:
    """Raises UnexpectedLibrary unless the installed version is the one that was examined."""
    if distribution.version != library.version:
        raise UnexpectedLibrary(
            f"{library.distribution} {distribution.version} is installed, but only {library.version} has been examined. "
            "Pin that version, or examine the new one and enter it in environment/glibc_backport.py.")  # fmt: skip


def check_imports(library: Library, binary) -> None:
    """Raises UnexpectedLibrary unless exactly the known imports and required versions are too new and no stream is used."""
    expected, received = set(library.replacements), newer_imports(binary)
    if received != expected:
        raise UnexpectedLibrary(f"{library.path} needs other symbols than were examined. Unexpected: "
                                f"{sorted(received - expected)}; missing: {sorted(expected - received)}.")  # fmt: skip
    expected_versions, received_versions = {version for _, version in expected}, newer_requirements(binary)
    if received_versions != expected_versions:
        raise UnexpectedLibrary(f"{library.path} requires the symbol versions {sorted(received_versions)}, "
                                f"expected {sorted(expected_versions)}.")  # fmt: skip
    streams = STANDARD_STREAMS & imported_names(binary)
    if streams:
        raise UnexpectedLibrary(f"{library.path} uses the standard streams {sorted(streams)}, which an older "
                                "libstdc++ would leave uninitialised.")  # fmt: skip


def is_prepared(library: Library, binary) -> bool:
    """Whether a binary is already prepared: no import is too new, and every replacement is imported."""
    replaced = imported_names(binary) >= set(library.replacements.values())
    return replaced and not newer_imports(binary) and not newer_requirements(binary)


def prepare_library(library: Library, site_packages: Path) -> bool:
    """Prepares one installed library; returns whether it had to be changed. Raises UnexpectedLibrary, having changed nothing."""
    import lief  # here, so that a system that needs no change needs no lief

    distribution = find_distribution(library.distribution, site_packages)
    check_version(library, distribution)
    path = site_packages / library.path
    binary = lief.ELF.parse(str(path))
    if binary is None:
        raise UnexpectedLibrary(f"{path} is missing or not an ELF library.")
    changes = not is_prepared(library, binary)
    if changes:
        check_imports(library, binary)
        replace_file(path, rewritten(library, binary))
    update_record(distribution, library.path, path.read_bytes())
    return changes


def rewritten(library: Library, binary) -> bytes:
    """The library with its imports replaced, read back and checked. Consumes `binary`, which check_imports has accepted."""
    import lief

    for symbol in binary.dynamic_symbols:
        version = symbol.symbol_version
        if not (version and version.has_auxiliary_version):
            continue
        replacement = library.replacements.get((symbol.name, version.symbol_version_auxiliary.name))
        if replacement is not None:
            symbol.name = replacement
            version.drop_version(1)  # 1: any version of a global symbol
    for requirement in binary.symbols_version_requirement:
        for auxiliary in list(requirement.get_auxiliary_symbols()):
            if is_newer(auxiliary.name):
                requirement.remove_aux_requirement(auxiliary)
        if not requirement.get_auxiliary_symbols():  # the dynamic loader reads the first without checking their number
            raise UnexpectedLibrary(f"{library.path} would keep no version required of {requirement.name}; nothing was changed.")
    content = bytes(binary.write_to_bytes())
    if not is_prepared(library, lief.ELF.parse(list(content))):
        raise UnexpectedLibrary(f"{library.path} was rewritten, but still needs symbols that are too new; nothing was changed.")
    return content


def host_glibc() -> tuple[int, int]:
    """The glibc of this system, (2, 36) on Debian 12. Raises ValueError if there is another C library."""
    name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    if name != "glibc":
        raise ValueError(f"expected a system with glibc, got {name or 'an unknown C library'}")
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def prepare(site_packages: Path, glibc: tuple[int, int]) -> list[str]:
    """Prepares both libraries for a system with this glibc; returns the names of those that were changed.

    Raises UnexpectedLibrary if a library is not the one examined, or if other packages are too new for the system.
    """
    if glibc >= PUBLISHED_FOR:
        return []
    others = newer_wheels(site_packages, glibc) - {library.distribution for library in LIBRARIES}
    if others:
        raise UnexpectedLibrary(f"{', '.join(sorted(others))} were published for a newer glibc than {glibc[0]}.{glibc[1]}; "
                                "pin versions in pyproject.toml that have wheels for older systems.")  # fmt: skip
    return [library.distribution for library in LIBRARIES if prepare_library(library, site_packages)]


def check_loads(site_packages: Path) -> None:
    """Loads both libraries and resolves every symbol. Raises OSError, naming library and symbol, if one is missing."""
    for library in LIBRARIES:
        ctypes.CDLL(str(site_packages / library.path), mode=os.RTLD_NOW)


def main() -> int:
    site_packages, glibc = Path(sysconfig.get_paths()["platlib"]), host_glibc()
    try:
        changed = prepare(site_packages, glibc)
        check_loads(site_packages)
    except (UnexpectedLibrary, OSError) as error:
        print(f"glibc backport: {error}", file=sys.stderr)
        return 1
    if changed:
        print(f"Prepared {' and '.join(changed)} for glibc {glibc[0]}.{glibc[1]}.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
