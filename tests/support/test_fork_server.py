"""A forked command is what a started one is: each of these programs does the same by `python` and by the fork server."""

import os
import signal
import subprocess
import sys

import pytest
from fork_server import DEVNULL, PIPE, client
from fork_server.libraries import MODULES
from tiny import PATIENCE_SECONDS, PROJECT

# What a program sees of how it was started.
SEES = """
import os, signal, sys
print(sys.argv, sys.path, os.getcwd(), sorted(os.environ.items()), __name__, sys.stdin.read(), sys.stdout.line_buffering)
print([signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE)], signal.pthread_sigmask(0, []))
print(sorted(os.listdir("/proc/self/fd")), file=sys.stderr)
"""


def both(forked, arguments, **options):
    """What `python ARGUMENTS` ended with, started and forked."""
    options |= {"capture_output": True, "text": True, "timeout": PATIENCE_SECONDS}
    started = subprocess.run([sys.executable, *arguments], check=False, **options)
    return [(ended.returncode, ended.stdout, ended.stderr) for ended in (started, forked.run(arguments, **options))]


@pytest.mark.parametrize("form", ["-c", "-m", "file"])
def test_arguments_path_environment_folder_and_streams_are_those_of_a_started_command(forked, tmp_path, form):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "program.py").write_text(SEES)
    arguments = {"-c": ["-c", SEES], "-m": ["-m", "inner.program"], "file": ["inner/program.py"]}[form]
    environment = {"PATH": "/bin", "LC_ALL": "C.UTF-8", "PYTHONPATH": f"/first{os.pathsep}{tmp_path}"}
    started, ended = both(forked, [*arguments, "a", "b c"], cwd=tmp_path, env=environment, input="typed")
    assert ended == started and started[0] == 0


@pytest.mark.parametrize("program", [
    "print('x')", "raise SystemExit(7)", "raise SystemExit('said')", "import os; os._exit(9)", "import os; os.kill(os.getpid(), 9)",
    "import os; os.kill(os.getpid(), 15)", "import signal; signal.raise_signal(signal.SIGINT)", "print('lost', end=''); 1 / 0",
    "import atexit; atexit.register(print, 'last')", "import threading; threading.Thread(target=print, args=('thread',)).start()",
])  # fmt: skip
def test_it_ends_as_a_started_command_ends(forked, program):
    started, ended = both(forked, ["-c", program])
    assert ended[:2] == started[:2]
    assert ended[2].splitlines()[-1:] == started[2].splitlines()[-1:]


def test_a_module_that_does_not_exist_is_said_as_python_says_it(forked, tmp_path):
    started, ended = both(forked, ["-m", "no_such_module"], cwd=tmp_path)
    assert ended == started and "No module named no_such_module" in ended[2]


def test_the_libraries_are_there_and_the_project_s_modules_come_from_the_disk(forked, tmp_path):
    (tmp_path / "pipeline_config.py").write_text("here = True")
    program = ("import sys; before = set(sys.modules); import pipeline_config; assert pipeline_config.here\n"
               "print(*(name for name in before))")  # fmt: skip
    ended = forked.run(["-c", program], cwd=tmp_path, stdout=PIPE, text=True, check=True)
    loaded = set(ended.stdout.split())
    assert loaded >= set(MODULES)
    ours = {path.name.removesuffix(".py") for path in PROJECT.iterdir() if path.suffix in ("", ".py")}
    assert not ours & {name.partition(".")[0] for name in loaded}


def test_tensorflow_beam_and_grpc_work_in_a_child(forked):
    program = """
import concurrent.futures, grpc, apache_beam as beam, tensorflow as tf
assert float(tf.function(lambda x: tf.reduce_sum(x @ x))(tf.ones([64, 64]))) == 64.0**3
assert sum(tf.data.Dataset.range(9).map(lambda x: x, num_parallel_calls=2).as_numpy_iterator()) == 36
with beam.Pipeline() as pipeline:
    pipeline | beam.Create([1, 2]) | beam.Map(lambda x: x + 1) | beam.Map(print)
server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
grpc.channel_ready_future(grpc.insecure_channel(f"127.0.0.1:{port}")).result(60)
server.stop(None)
"""
    ended = forked.run(["-c", program], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert (ended.returncode, sorted(ended.stdout.split())) == (0, ["2", "3"]), ended.stderr


def test_children_draw_different_random_numbers(forked):
    program = "import numpy, random, tempfile; print(random.random(), numpy.random.random(), tempfile.mktemp())"
    drawn = [forked.run(["-c", program], stdout=PIPE, text=True, check=True).stdout.split() for _ in range(2)]
    assert not set(drawn[0]) & set(drawn[1])


def test_a_client_that_ends_before_it_has_asked_ends_nothing_else(forked):
    for begun in (b"", b"\0"):
        with client._connection() as connection:
            connection.sendall(begun)
    assert forked.run(["-c", "raise SystemExit(7)"]).returncode == 7


def test_a_signal_reaches_the_command_as_soon_as_it_has_an_id(forked):
    with forked.Process(["-c", "import time; time.sleep(600)"], stdout=DEVNULL, stderr=DEVNULL) as process:
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == -signal.SIGINT
    with forked.Process(["-c", "import time; time.sleep(600)"], start_new_session=True) as process:
        assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.kill()
        assert process.wait(PATIENCE_SECONDS) == -signal.SIGKILL


def test_a_terminal_controls_the_command_and_ctrl_c_reaches_it(forked):
    screen, terminal = os.openpty()
    program = "import sys, time; print(sys.stdout.isatty(), flush=True); time.sleep(600)"
    with forked.Process(["-c", program], stdin=terminal, stdout=terminal, stderr=terminal, terminal=True) as process:
        assert os.read(screen, 100).startswith(b"True")
        os.write(screen, b"\x03")
        assert process.wait(PATIENCE_SECONDS) == -signal.SIGINT
    os.close(terminal)
    os.close(screen)


def test_a_command_that_takes_too_long_is_ended(forked):
    reads, writes = os.pipe()
    with pytest.raises(subprocess.TimeoutExpired):
        forked.run(["-c", "import time; time.sleep(600)"], stdout=writes, timeout=0.01)
    os.close(writes)
    # The end of what it could have written: nobody has the other end open any more.
    assert os.read(reads, 1) == b""
    os.close(reads)
