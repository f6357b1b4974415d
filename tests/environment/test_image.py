"""What Dockerfile and `make image` promise, without a daemon: docker, podman and buildah are stand-ins that note their arguments.

That the image is built and runs is shown by hand; docs/image.md says how.
"""

import fnmatch
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("sh", "make", "git", "sed", "tail", "dirname")

# Notes its arguments; `info` ends as the machine says.
STAND_IN = """#!{python}
import json, sys
with open({log!r}, "a") as log:
    print(json.dumps([{name!r}, *sys.argv[1:]]), file=log)
if sys.argv[1] == "info" and {broken!r}:
    sys.exit("WARNING: an old kernel\\n" + {broken!r})
if sys.argv[1] in ("build", "bud"):
    sys.exit({build_status})
"""


class Machine:
    """A PATH in which only what the test puts there exists."""

    def __init__(self, folder: Path):
        self.folder, self.log = folder, folder / "log"
        for tool in TOOLS:
            (folder / tool).symlink_to(shutil.which(tool))

    def has(self, name: str, broken: str = "", build_status: int = 0) -> None:
        script = STAND_IN.format(python=sys.executable, log=str(self.log), name=name, broken=broken, build_status=build_status)
        (self.folder / name).write_text(script)
        (self.folder / name).chmod(0o755)

    def make_image(self, *variables: str, project: Path = ROOT) -> subprocess.CompletedProcess:
        return subprocess.run(["make", "image", *variables], env={"PATH": str(self.folder)}, cwd=project, check=False,
                              capture_output=True, text=True)  # fmt: skip

    def builds(self) -> list[list[str]]:
        """Arguments of the calls that build, the program first."""
        calls = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return [call for call in calls if call[1] in ("build", "bud")]


@pytest.fixture
def machine(tmp_path):
    (tmp_path / "bin").mkdir()
    return Machine(tmp_path / "bin")


@pytest.fixture
def project(tmp_path):
    """As much of the project as `make image` reads, committed."""
    folder = tmp_path / "project"
    for name in ("Makefile", "environment/build_image.sh", "pipeline/__init__.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "--message", "all")
    return folder


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def build_arguments(call: list[str]) -> dict[str, str]:
    return dict(value.split("=", 1) for option, value in zip(call, call[1:], strict=False) if option == "--build-arg")


@pytest.mark.parametrize(("works", "chosen"), [
    (("docker", "podman", "buildah"), "docker"), (("podman", "buildah"), "podman"), (("buildah",), "buildah")])  # fmt: skip
@pytest.mark.parametrize("others", ["missing", "broken"])
def test_the_first_program_that_works_builds(machine, project, works, chosen, others):
    for name in ("docker", "podman", "buildah"):
        if name in works:
            machine.has(name)
        elif others == "broken":
            machine.has(name, broken="no server")
    result = machine.make_image(project=project)
    assert result.returncode == 0, result.stderr
    (call,) = machine.builds()
    assert call[:2] == [chosen, "bud" if chosen == "buildah" else "build"]
    assert ("--layers" in call) == (chosen == "buildah")
    assert call[-1] == "."


def test_the_image_is_named_and_carries_version_commit_and_accelerator(machine, project):
    machine.has("podman")
    machine.make_image(project=project)
    version = re.search('__version__ = "(.*)"', (ROOT / "pipeline/__init__.py").read_text())[1]
    (call,) = machine.builds()
    assert build_arguments(call) == {"ACCELERATOR": "cpu", "VERSION": version, "COMMIT": git(project, "rev-parse", "HEAD")}
    assert call[call.index("--tag") + 1] == "flowers:cpu"


def test_a_commit_that_is_not_what_was_built_is_marked(machine, project):
    machine.has("podman")
    (project / "pipeline" / "new.py").write_text("")
    machine.make_image(project=project)
    shutil.rmtree(project / ".git")
    machine.make_image(project=project)
    changed, without_git = map(build_arguments, machine.builds())
    assert re.fullmatch("[0-9a-f]{40}-changed", changed["COMMIT"])
    assert without_git["COMMIT"] == "unknown"


def test_make_variables_reach_the_builder(machine, project):
    machine.has("docker")
    machine.has("buildah")
    result = machine.make_image("ACCELERATOR=gpu", "BASE=localhost/base:1", "BUILDER=buildah", "IMAGE=host/flowers:2",
                                "IMAGE_FLAGS=--isolation chroot -v /a/ca.crt:/run/ca.crt:ro", project=project)  # fmt: skip
    assert result.returncode == 0, result.stderr
    (call,) = machine.builds()
    assert call[0] == "buildah"
    assert build_arguments(call) | {"VERSION": "", "COMMIT": ""} == {
        "ACCELERATOR": "gpu", "BASE": "localhost/base:1", "VERSION": "", "COMMIT": ""}  # fmt: skip
    assert call[call.index("--tag") + 1] == "host/flowers:2"
    assert call[-5:] == ["--isolation", "chroot", "-v", "/a/ca.crt:/run/ca.crt:ro", "."]
    machine.make_image("ACCELERATOR=gpu", project=project)
    assert machine.builds()[-1][machine.builds()[-1].index("--tag") + 1] == "flowers:gpu"


def test_where_nothing_works_each_program_s_reason_is_named(machine, project):
    machine.has("docker", broken="Cannot connect to the Docker daemon")
    machine.has("buildah", broken="permission denied")
    result = machine.make_image(project=project)
    assert result.returncode != 0
    for part in ("docker does not work: Cannot connect to the Docker daemon", "podman is not installed",
                 "buildah does not work: permission denied", "apt-get install buildah"):  # fmt: skip
        assert part in result.stderr
    assert machine.builds() == []


@pytest.mark.parametrize(("variable", "message"), [
    ("ACCELERATOR=tpu", "ACCELERATOR must be cpu or gpu, got 'tpu'"),
    ("BUILDER=kaniko", "BUILDER must be docker, podman or buildah, got 'kaniko'"),
])  # fmt: skip
def test_a_wrong_variable_is_refused_before_anything_is_built(machine, project, variable, message):
    machine.has("docker")
    result = machine.make_image(variable, project=project)
    assert result.returncode != 0
    assert message in result.stderr
    assert machine.builds() == []


def test_a_build_that_fails_fails_make(machine, project):
    machine.has("docker", build_status=3)
    assert machine.make_image(project=project).returncode != 0


def stages() -> dict[str, list[tuple[str, str]]]:
    """The Dockerfile's instructions by stage; the last stage is "", what stands before the first "before"."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found, current = {"before": []}, "before"
    for line in filter(None, map(str.strip, text.splitlines())):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            current = rest.partition(" AS ")[2]
            found[current] = []
        found[current].append((instruction, re.sub(r"\s+", " ", rest)))
    assert list(found)[-1] == ""
    return found


def copied(stage: str) -> list[str]:
    """What is copied from the project into a stage, without a slash at the end."""
    copies = [rest.split() for name, rest in stages()[stage] if name == "COPY" and "--from" not in rest]
    return [source.rstrip("/") for words in copies for source in words[:-1]]


def test_every_package_that_pyproject_names_is_copied():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    setuptools, project = settings["tool"]["setuptools"], settings["project"]
    packages = {pattern.removesuffix(".*") for pattern in setuptools["packages"]["find"]["include"]}
    wanted = packages | {f"{module}.py" for module in setuptools["py-modules"]} | {project["readme"], *project["license-files"]}
    assert set(copied("project")) == wanted | {"pyproject.toml"}
    assert ("COPY", "--from=project /project /") in stages()[""]


def test_every_file_of_the_packages_is_installed(tmp_path):
    """What is copied is installed as a wheel, which leaves out a folder without __init__.py, and other files than Python's."""
    (tmp_path / "project").mkdir()
    for source in copied("project"):
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy(ROOT / source, tmp_path / "project" / source)
    files = {str(path.relative_to(tmp_path / "project")) for path in (tmp_path / "project").rglob("*/*")
             if path.is_file() and "__pycache__" not in path.parts}  # fmt: skip
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation",
                    "--wheel-dir", tmp_path, tmp_path / "project"], check=True)  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    assert files - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_the_builder_is_sent_what_is_copied_and_no_more():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == {*copied("packages"), *copied("project")}
    assert any(fnmatch.fnmatch("trainer/__pycache__", line) for line in lines[1:])


def test_the_packages_are_the_pinned_and_hash_checked_lists():
    runs = [rest for stage in stages().values() for name, rest in stage if name == "RUN"]
    installs = [part.strip() for rest in runs for part in rest.split("&&") if re.search(r"pip (install|sync)", part)]
    lists = [part for part in installs if "--require-hashes" in part]
    assert [re.search(r"requirements/\S+", part)[0] for part in lists] == ["requirements/tools.txt", "requirements/${list}.txt"]
    (project,) = [part for part in installs if part not in lists]
    assert {"--no-index", "--no-deps"} <= set(project.split())
    (choice,) = [rest for rest in runs if rest.startswith("case ")]
    assert re.findall(r"(\w+)\) list=(\w+)", choice) == [("cpu", "runtime"), ("gpu", "gpu")]
    assert all((ROOT / "requirements" / f"{name}.txt").exists() for name in ("runtime", "gpu"))


def test_the_final_stage_has_no_compiler_no_installer_and_no_cache():
    (run,) = [rest for name, rest in stages()[""] if name == "RUN"]
    (install,) = [part for part in run.split("&&") if "apt-get install" in part]
    words = install.split()
    assert "--no-install-recommends" in words
    assert {word for word in words[words.index("install") + 1 :] if not word.startswith("-")} == {"ca-certificates", "python3"}
    assert "apt-get clean" in run and "rm -rf /var/lib/apt/lists/*" in run
    (trimmed,) = [rest for name, rest in stages()["trimmed"] if name == "RUN"]
    assert "pip uninstall --quiet --yes uv pip" in trimmed
    assert [rest for name, rest in stages()[""] if name == "COPY"] == [
        "--from=trimmed /opt/flowers/.venv /opt/flowers/.venv", "--from=project /project /"]  # fmt: skip


def test_the_image_runs_as_a_user_who_is_not_root():
    final = stages()[""]
    users = [rest for name, rest in final if name == "USER"]
    assert len(users) == 1 and int(users[0]) >= 1000
    assert any(f"useradd --create-home --uid {users[0]} " in rest for name, rest in final if name == "RUN")
    after = [name for name, _ in final[[name for name, _ in final].index("USER") :]]
    assert "RUN" not in after and "COPY" not in after


def test_the_base_is_an_argument_that_names_a_digest():
    assert re.fullmatch(r"BASE=docker\.io/library/debian:trixie-slim@sha256:[0-9a-f]{64}", dict(stages()["before"])["ARG"])
    bases = [rest.split()[0] for name, stage in stages().items() if name != "before" for key, rest in stage if key == "FROM"]
    assert bases == ["${BASE}", "packages", "packages", "${BASE}"]


def test_nothing_of_the_building_machine_stays():
    """Arguments reach the history of the stage that declares them: in the last one only the labels' do."""
    arguments = {rest.partition("=")[0] for name, rest in stages()[""] if name == "ARG"}
    assert arguments == {"VERSION", "COMMIT"}
    (label,) = [rest for name, rest in stages()[""] if name == "LABEL"]
    assert 'image.version="${VERSION}"' in label and 'image.revision="${COMMIT}"' in label
