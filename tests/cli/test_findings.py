"""Each finding of the doctor, from facts that are given: what is right is ok, what is wrong is named with its fix."""

import functools
import importlib.metadata
import operator
import os

import pytest

import pipeline_config
from cli import doctor, doctor_libraries, doctor_machine
from contracts.layout import Layout, run_lock
from pipeline.settings import configuration


@pytest.mark.parametrize(("version", "level"), [((3, 10, 14), "fail"), ((3, 11, 0), "ok"), ((3, 13, 9), "ok"), ((3, 14, 0), "fail")])
def test_python_is_judged_by_what_the_packages_exist_for(version, level):
    finding = doctor_machine.python(version)
    assert finding.level == level and (level == "ok") == (finding.fix == "")


@pytest.mark.parametrize(("name", "processor", "libc", "level"), [
    ("Linux", "x86_64", "glibc 2.34", "ok"), ("Linux", "x86_64", "glibc 2.41", "ok"), ("Linux", "x86_64", "glibc 2.31", "fail"),
    ("Linux", "aarch64", "glibc 2.41", "fail"), ("Darwin", "x86_64", "", "fail"),
])  # fmt: skip
def test_the_system_is_judged_by_processor_and_glibc(name, processor, libc, level):
    assert doctor_machine.system(name, processor, libc).level == level


@pytest.mark.parametrize(("flags", "level"), [("fpu avx avx2 fma", "ok"), ("fpu avx", "warn"), ("fpu sse2", "fail")])
def test_the_processor_is_judged_by_its_instructions(tmp_path, flags, level):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    assert doctor_machine.processor(tmp_path / "cpuinfo").level == level


def test_packages_that_are_missing_or_of_another_version_are_named():
    def version_of(name):
        if name == "tfx":
            raise importlib.metadata.PackageNotFoundError(name)
        return {"keras": "3.15.1", "numpy": "1.26.4"}[name]

    (finding,) = doctor_machine.packages(["tfx==1.21.0", "keras==3.15.1", "numpy==2.4.6", "x==1; extra == 'gpu'"], version_of)
    assert finding.level == "fail" and finding.says == "tfx is missing; numpy is 1.26.4, not ==2.4.6" and finding.fix == "make setup"


@pytest.mark.parametrize(("environment", "levels"), [
    ({"TF_ENABLE_ONEDNN_OPTS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}, ["ok", "ok"]),
    ({"TF_ENABLE_ONEDNN_OPTS": "0", "MLFLOW_DISABLE_TELEMETRY": "false"}, ["warn", "warn"]),
    ({"MLFLOW_DISABLE_TELEMETRY": "true", "TF_CONFIG": "{}"}, ["ok", "ok", "fail"]),
])  # fmt: skip
def test_variables_that_change_what_libraries_do_are_judged(environment, levels):
    assert [finding.level for finding in doctor_machine.variables(environment)] == levels


@pytest.mark.parametrize(("limit", "level", "says"), [
    ("max\n", "ok", "8.2 GB available, about"),
    ("2000000000\n", "warn", "2.0 GB available within a limit of 2.0 GB, about"),
])  # fmt: skip
def test_memory_counts_within_the_limit_of_a_container(tmp_path, limit, level, says):
    for name, text in (("proc/meminfo", "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n"), ("proc/self/cgroup", "0::/\n"),
                       ("sys/fs/cgroup/memory.max", limit)):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = doctor_machine.memory(3_000_000_000, "this", tmp_path)
    assert found.level == level and found.says.startswith(says)


@pytest.mark.parametrize(("count", "machine", "says"), [
    (8, 8, "8 cores"), (2, 8, "2 cores of 8, by affinity or a container's quota"), (1, 1, "1 core"),
])  # fmt: skip
def test_the_processor_is_what_this_process_may_use(tmp_path, count, machine, says):
    (tmp_path / "cpuinfo").write_text("flags\t\t: avx avx2 fma\n")
    assert doctor_machine.processor(tmp_path / "cpuinfo", count, machine).says == says


def test_the_memory_that_is_needed_is_the_sum_of_its_parts():
    # 1,000 photographs as squares of 1.5 x 64 pixels in three bytes, and a step that keeps 5 MB.
    needed, _ = doctor.memory_needed({"bytes": 5e6}, {"images": 1000}, pipeline_config.CPU)
    assert needed == doctor.LIBRARIES_BYTES + 1000 * 96 * 96 * 3 + 5e6
    # As many as one likes are streamed once they fill pretrain.memory_megabytes.
    needed, _ = doctor.memory_needed({}, {"images": 10**9}, pipeline_config.CPU)
    assert needed == doctor.LIBRARIES_BYTES + 2000e6


@pytest.mark.parametrize(("free", "level"), [(50e9, "ok"), (1e9, "warn"), (100e6, "fail")])
def test_room_on_the_disk(tmp_path, free, level):
    finding = doctor_machine.room(tmp_path, int(free))
    assert finding.level == level and (level == "ok") == (finding.fix == "")


@pytest.mark.parametrize(("kind", "level"), [("ext4", "ok"), ("nfs4", "fail"), ("fuse.sshfs", "warn")])
def test_the_file_system_is_that_of_the_longest_mount_point(tmp_path, kind, level):
    inner = tmp_path / "a folder"
    inner.mkdir()
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nx {str(inner).replace(' ', chr(92) + '040')} {kind} rw 0 0\ny {tmp_path}/ab nfs rw 0 0\n")
    assert doctor_machine.file_system(inner, mounts).level == level
    assert doctor_machine.file_system(tmp_path, mounts).level == "ok"


def test_a_root_that_does_not_exist_yet_is_judged_by_where_it_would_be_and_not_made(tmp_path):
    levels = {finding.subject: finding.level for finding in doctor_machine.check(Layout.at(str(tmp_path / "a" / "b")))}
    assert levels["DIR"] == "ok" and levels["lock"] == "ok" and levels["checkpoints"] == "ok" and levels["clock"] == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_cannot_be_written_to_fails(tmp_path):
    (tmp_path / "file").touch()
    (finding,) = doctor_machine.check(Layout.at(str(tmp_path / "file")))
    assert finding.level == "fail" and "cannot be written to" in finding.says


def test_a_run_that_is_active_is_named(tmp_path):
    layout = Layout.at(str(tmp_path))
    with run_lock(layout.lock):
        finding = doctor_machine.lock(layout)
    assert finding.level == "fail" and f"process {os.getpid()}" in finding.says
    assert doctor_machine.lock(layout).level == "ok"


def test_checkpoints_that_nobody_touched_for_a_month_are_stale(tmp_path):
    layout = Layout.at(str(tmp_path))
    (layout.checkpoints / "0123").mkdir(parents=True)
    (layout.checkpoints / "0123" / "ckpt-1").write_bytes(b"x" * 1000)
    written = (layout.checkpoints / "0123" / "ckpt-1").stat().st_mtime
    assert doctor_machine.checkpoints(layout, now=written + 29 * 86400).level == "ok"
    finding = doctor_machine.checkpoints(layout, now=written + 31 * 86400)
    assert finding.level == "warn" and finding.fix == f"rm -r {layout.checkpoints / '0123'}"


@pytest.mark.parametrize(("answer", "level", "words"), [
    ({"classes": {"rose": 40, "tulip": 60}, "images": 100, "train": 85, "unlabelled": 0}, "ok", "100 files of 2 classes"),
    ({"classes": {}, "images": 0, "train": 0, "unlabelled": 99}, "ok", "0 files of 0 classes, 99 unlabelled"),
    ({"classes": {"rose": 99}, "images": 99, "train": 84, "unlabelled": 0, "refusals": ["it has one class"]}, "fail", "one class"),
    ({"error": "no folder", "as_a_run": True}, "fail", "no folder"),
])  # fmt: skip
def test_the_source_is_judged_as_a_run_judges_it(answer, level, words):
    finding, *_ = doctor.source(answer, pipeline_config.QUICK)
    assert finding.level == level and words in finding.says and not finding.fix


def found(*changes):
    """The finding of each level and text for a folder of 100 files in which all is well, but for `changes`."""
    answer = {"classes": {"rose": 50, "tulip": 50}, "images": 100, "train": 85, "unlabelled": 0, "looked_at": 100, "files": 100}
    answer = functools.reduce(operator.or_, changes, answer)
    return [(one.level, one.says) for one in doctor.source(answer, configuration("quick", ["data.source=x"]))]


def test_what_a_look_at_the_photographs_tells_is_said():
    assert found() == [("ok", "x: 100 files of 2 classes"), ("ok", "32 of about 85 photographs to learn from")]
    assert found({"not_read": ["folders without photographs (1): lily/"]})[0] == ("ok", "not read: folders without photographs (1): lily/")
    bad = {"refused": [[1, "a link", "set data.follow_links=true"]], "bad_fraction": 0.01}
    assert found(bad)[0] == ("ok", "1 of 100 files cannot be used: 1 a link (set data.follow_links=true)")  # one of 100 is allowed
    twice = {"in_two_classes": [[f"lily/{index}.jpg", f"rose/{index}.jpg"] for index in range(4)]}
    level, says = found(twice)[0]
    assert (
        level == "warn"
        and "the same picture is in more than one class, 4 times: lily/0.jpg = rose/0.jpg; " in says
        and says.endswith("; …")
    )
    assert found({"nearly_black": True})[0] == ("warn", "most photographs are nearly black, below 5 % of white")
    assert found({"ignored_profiles": 2})[0] == ("warn", "2 colour profiles are broken, and are ignored")
    assert found(bad | {"bad_fraction": 0.02, "refusals": ["2 of 100 files"]})[0] == ("fail", "2 of 100 files")  # said once


def test_of_many_files_some_are_looked_at_and_it_is_said_what_only_a_run_sees():
    bad = {"refused": [[30, "a link", "x"]], "bad_fraction": 0.03, "looked_at": 1000, "files": 9000}
    (level, says), (worse, files) = found(bad)[:2]
    assert level == "ok" and says.startswith("looked at 1,000 of 9,000 files") and "only a run sees all" in says
    assert worse == "warn" and files.startswith("30 of 1,000 files cannot be used")


def test_a_batch_larger_than_the_train_split_names_one_that_fits():
    answer = {"classes": {"rose": 10, "tulip": 10}, "images": 20, "train": 17, "unlabelled": 0}
    *_, finding = doctor.source(answer, pipeline_config.QUICK)
    assert finding.level == "fail" and finding.fix == "--set pretrain.batch_size=4"  # 17 train, of which a quarter


def test_a_data_set_that_is_not_here_yet_is_downloaded_or_refused_as_a_run_refuses_it():
    answer = {"classes": {}, "images": None, "unlabelled": 0, "to_download": "/data"}
    (finding,) = doctor.source(answer, configuration("quick", ["data.source=tfds:mnist"]))
    assert finding.level == "ok" and finding.says == "tfds:mnist is to be downloaded to /data"
    (finding,) = doctor.source(answer | {"error": "cannot be reached", "as_a_run": True}, pipeline_config.CPU)
    assert finding.level == "fail" and finding.says == "cannot be reached"


@pytest.mark.parametrize(("answer", "level"), [
    ({"versions": 0, "champion": None, "missing": []}, "ok"),
    ({"versions": 2, "champion": "1", "missing": []}, "ok"),
    ({"versions": 2, "champion": None, "missing": []}, "warn"),
    ({"versions": 2, "champion": "1", "missing": ["2"]}, "fail"),
    ({"error": "OperationalError: file is not a database"}, "fail"),
])  # fmt: skip
def test_the_registry_is_judged_by_its_champion_and_files(answer, level):
    assert doctor.registry(answer).level == level


def test_the_preset_gpu_wants_a_gpu_and_no_other_does():
    assert doctor.gpus({"gpus": []}, pipeline_config.GPU).level == "fail"
    assert doctor.gpus({"gpus": []}, pipeline_config.CPU).level == "ok"
    assert doctor.gpus({"gpus": ["GPU:0"]}, pipeline_config.GPU).level == "ok"
    assert doctor.gpus({"gpus": ["GPU:0"] * 3, "not_shared": "must be a multiple of 3"}, pipeline_config.GPU).level == "fail"


def test_gpus_that_cannot_hold_a_step_are_a_warning_with_what_to_do():
    assert not list(doctor.gpu_memory({"gpus": []})) and not list(doctor.gpu_memory({"gpus": ["GPU:0"], "memory": None, "too_large": ""}))
    (good,) = doctor.gpu_memory({"gpus": ["GPU:0"], "memory": 40e9, "too_large": ""})
    (bad,) = doctor.gpu_memory(
        {"gpus": ["GPU:0"], "memory": 16e9, "too_large": "a step keeps about 43.6 GB; at most 180 photographs can fit"}
    )
    assert (good.level, good.says, good.fix) == ("ok", "40.0 GB, which holds what a step keeps", "")
    assert (bad.level, bad.says, bad.fix) == ("warn", "a step keeps about 43.6 GB", "at most 180 photographs can fit")


def test_every_question_has_an_answer_where_the_process_that_is_asked_dies(monkeypatch):
    monkeypatch.setattr(doctor_libraries.sys, "executable", "/bin/false")
    answers = doctor_libraries.ask("quick", [], "/d", "/r")
    assert set(answers) == {*doctor_libraries.IMPORTED, "gpus", "source", "step", "registry"}
    assert all("ended with status 1" in answer["error"] for answer in answers.values())
