"""Reads and changes installed files in site-packages."""

import base64
import csv
import hashlib
import io
import os
from importlib.metadata import Distribution, distributions
from pathlib import Path


class UnexpectedLibrary(Exception):
    """What is installed differs from what was examined; the message says how."""


def normalised(name: str) -> str:
    """A distribution's name as package indexes write it: lower case, hyphens."""
    return name.lower().replace("_", "-")


def find_distribution(name: str, site_packages: Path) -> Distribution:
    """The installed distribution of that name. Raises UnexpectedLibrary unless there is exactly one."""
    found = [d for d in distributions(path=[str(site_packages)]) if normalised(d.name) == name]
    if len(found) != 1:
        raise UnexpectedLibrary(f"{name} must be installed once in {site_packages}, got {len(found)} times")
    return found[0]


def replace_file(path: Path, content: bytes) -> None:
    """Replaces the file at `path` by a new one with the same permissions.

    The old file is not written to: uv links files from its cache, so all environments would change.
    """
    temporary = path.with_name(path.name + ".partial")
    temporary.write_bytes(content)
    temporary.chmod(path.stat().st_mode & 0o777)
    os.replace(temporary, path)


def update_record(distribution: Distribution, path: str, content: bytes) -> None:
    """Writes hash and size of a changed file into its distribution's RECORD, as the wheel format requires (PEP 376, PEP 427)."""
    record = Path(next(file for file in distribution.files or () if file.name == "RECORD").locate())
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    rows = list(csv.reader(record.read_text().splitlines()))
    if [row[0] for row in rows].count(path) != 1:
        raise UnexpectedLibrary(f"{record} does not list {path} exactly once.")
    updated = [[path, f"sha256={digest}", str(len(content))] if row[0] == path else row for row in rows]
    if updated != rows:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(updated)
        replace_file(record, text.getvalue().encode())


def newer_wheels(site_packages: Path, glibc: tuple[int, int]) -> set[str]:
    """Names of installed distributions that were published only for a newer glibc, by the tags in their WHEEL files."""
    names = set()
    for distribution in distributions(path=[str(site_packages)]):
        lines = (distribution.read_text("WHEEL") or "").splitlines()
        needs = [glibc_of_tag(line.partition(":")[2].strip()) for line in lines if line.startswith("Tag:")]
        if needs and min(needs) > glibc:
            names.add(normalised(distribution.name))
    return names


def glibc_of_tag(tag: str) -> tuple[int, int]:
    """The glibc that a wheel tag requires; (0, 0) if none: cp311-cp311-manylinux_2_39_x86_64 gives (2, 39)."""
    platform = tag.split("-")[-1]
    if not platform.startswith("manylinux_"):
        return 0, 0
    major, minor = platform.split("_")[1:3]
    return int(major), int(minor)
