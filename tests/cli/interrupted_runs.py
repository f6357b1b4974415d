"""Runs `flowers` on terminals of their own for test_interrupting.py: a process that has imported the libraries once, and forks.

Reads one JSON list a line: the path of a terminal, then the arguments. Answers with the child's process id, and with its exit
status once it has ended. The child is a session leader on that terminal, as a shell's foreground job is, so Ctrl-C reaches it.
"""

import fcntl
import json
import os
import sys
import termios

from cli.main import ENVIRONMENT, main

os.environ.update(ENVIRONMENT | {"TERM": "xterm-256color"})

import mlflow  # noqa: E402, F401
import tensorflow  # noqa: E402, F401

from pipeline import local  # noqa: E402, F401

for line in sys.stdin:
    terminal, *arguments = json.loads(line)
    child = os.fork()
    if child == 0:
        os.setsid()
        opened = os.open(terminal, os.O_RDWR)
        fcntl.ioctl(opened, termios.TIOCSCTTY, 0)
        for descriptor in (0, 1, 2):
            os.dup2(opened, descriptor)
        sys.argv = ["flowers", *arguments]
        sys.exit(main(arguments))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
