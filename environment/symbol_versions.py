"""Finds the imports of an ELF library that are newer than the oldest supported systems.

`binary` is a library as lief parses it (lief.ELF.Binary).
"""

# What the libraries may require after the change: glibc 2.34 and the libstdc++ of GCC 11, as on RHEL 9.
NEWEST_ALLOWED = {"GLIBC": (2, 34), "GLIBCXX": (3, 4, 29), "CXXABI": (1, 3, 13), "GCC": (3, 0)}

STANDARD_STREAMS = {f"_ZSt{len(name)}{name}" for name in ("cin", "cout", "cerr", "clog", "wcin", "wcout", "wcerr", "wclog")}


def is_newer(version: str) -> bool:
    """Whether a symbol version such as GLIBC_2.38 is beyond NEWEST_ALLOWED. One of an unknown family counts as newer."""
    family, _, number = version.rpartition("_")
    if family not in NEWEST_ALLOWED or not all(part.isdigit() for part in number.split(".")):
        return True
    return tuple(int(part) for part in number.split(".")) > NEWEST_ALLOWED[family]


def newer_imports(binary) -> set[tuple[str, str]]:
    """(symbol, version) of every import of a lief ELF binary that is too new."""
    imports = set()
    for symbol in binary.dynamic_symbols:
        version = symbol.symbol_version
        if version and version.has_auxiliary_version and is_newer(version.symbol_version_auxiliary.name):
            imports.add((symbol.name, version.symbol_version_auxiliary.name))
    return imports


def newer_requirements(binary) -> set[str]:
    """Every symbol version that a lief ELF binary requires and that is too new."""
    return {auxiliary.name for requirement in binary.symbols_version_requirement
            for auxiliary in requirement.get_auxiliary_symbols() if is_newer(auxiliary.name)}  # fmt: skip


def imported_names(binary) -> set[str]:
    """Every symbol that a lief ELF binary imports."""
    return {symbol.name for symbol in binary.dynamic_symbols if symbol.imported}
