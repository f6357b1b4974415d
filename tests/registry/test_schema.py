"""A database that another MLflow wrote: one line that says what to do, before MLflow opens it, and nothing is changed."""

import contextlib
import shlex
import sqlite3
import sys

import pytest

from cli.main import main
from registry import mlflow_backend, schema
from registry.backend import RegistryError

# The one before the present schema, one of years ago that lacks tables, and one that no MLflow has.
BEFORE, EARLY, UNKNOWN = 1, -1, "f00dfacecafe"


def change(registry, *statements):
    with contextlib.closing(sqlite3.connect(f"{registry.directory}/{mlflow_backend.DATABASE}")) as opened:
        for statement in statements:
            opened.execute(statement)
        opened.commit()


def database_of(registry):
    with open(f"{registry.directory}/{mlflow_backend.DATABASE}", "rb") as file:
        return file.read()


@pytest.mark.parametrize("position", [BEFORE, EARLY])
def test_an_older_schema_is_refused_with_the_command_that_upgrades_it(registry, position):
    revision = schema._revisions()[position]
    change(registry, f"UPDATE alembic_version SET version_num = '{revision}'", "DROP TABLE registered_model_aliases")
    before = database_of(registry)
    for reading in (registry.versions, registry.model_tags, lambda: registry.writing().__enter__()):
        with pytest.raises(RegistryError) as refused:
            reading()
        assert "\n" not in str(refused.value) and f"schema {revision} of an older MLflow" in str(refused.value)
        assert "back-up" in str(refused.value)
        command = shlex.split(str(refused.value).rpartition("run: ")[2])
        assert command == [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{registry.directory}/mlflow.db"]
    assert database_of(registry) == before  # MLflow by itself would have made the missing table


def test_the_named_address_is_that_of_folders_with_any_name(tmp_path):
    assert schema.uri(str(tmp_path / "50% of?#it")) == f"sqlite:///{tmp_path}/50%25%20of%3F%23it"


@pytest.mark.parametrize("statement", [f"UPDATE alembic_version SET version_num = '{UNKNOWN}'", "DELETE FROM alembic_version"])
def test_a_newer_schema_is_refused_without_a_command_that_would_fail(registry, statement):
    change(registry, statement)
    with pytest.raises(RegistryError, match="a newer one wrote it; use the release that wrote it, or restore") as refused:
        registry.versions()
    assert "db upgrade" not in str(refused.value)


@pytest.mark.parametrize("statement", ["DROP TABLE alembic_version"])
def test_what_is_no_database_of_mlflow_is_named(registry, statement):
    change(registry, statement)
    with pytest.raises(RegistryError, match=r"mlflow.db cannot be read \(no such table: alembic_version\); restore"):
        registry.versions()
    with open(f"{registry.directory}/{mlflow_backend.DATABASE}", "wb") as file:
        file.write(b"this is no database, but long enough to look like one" * 100)
    with pytest.raises(RegistryError, match=r"cannot be read \(file is not a database\)"):
        registry.versions()


@pytest.mark.parametrize("arguments", [
    ["registry", "list"], ["registry", "show", "champion"], ["registry", "verify"], ["registry", "ui"],
    ["embed", "{folder}", "-o", "{folder}/i.npy"], ["predict", "{folder}", "-o", "{folder}/p.csv"],
    ["select", "{folder}", "--count", "1", "-o", "{folder}/s.csv"],
])  # fmt: skip
def test_every_verb_says_so_in_one_line_and_exits_with_2(registry, tmp_path, capfd, arguments):
    change(registry, f"UPDATE alembic_version SET version_num = '{schema._revisions()[BEFORE]}'")
    folder = tmp_path / "photographs"
    folder.mkdir()
    (folder / "one.jpg").write_bytes(b"anything")
    root = registry.directory.removesuffix("/registry")
    assert main([argument.format(folder=folder) for argument in arguments] + ["--root", root]) == 2
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "mlflow db upgrade sqlite:///" in said


def test_doctor_gives_the_command_as_what_to_do(registry):
    from cli import doctor, doctor_libraries

    change(registry, f"UPDATE alembic_version SET version_num = '{schema._revisions()[BEFORE]}'")
    finding = doctor.registry(doctor_libraries._registry(registry.directory, registry.name))
    assert finding.level == doctor.FAIL and "older MLflow" in finding.says and "mlflow db upgrade" in finding.fix
