"""The process that forks: `python server.py FOLDER OWNER`, until the process OWNER ends or someone says so.

It listens on FOLDER/socket as soon as its libraries are imported. A request has a command. The child answers with its process id
once it leads its session, and the server with the child's exit status when it has ended. There is one thread, and one connection for
each child.
"""

import contextlib
import os
import selectors
import shutil
import signal
import socket
import sys
import types

if __name__ == "__main__":
    # The folder of the package, in place of this file's own.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from fork_server import child, libraries, messages

# How often it looks whether its owner is still there.
SECONDS = 2


def serve(listener: socket.socket, owner: int) -> dict | None:
    """Answers requests. Returns in the children: the request that each was made for; in the server: None, at its end."""
    wakes, wake = socket.socketpair()
    for one in (listener, wakes, wake):
        one.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.signal(signal.SIGTERM, _say_and_end)
    # Ctrl-C is for the tests, which end what they started; the server ends with them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connections: dict[int, socket.socket] = {}  # by process id
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(wakes, selectors.EVENT_READ)
        while _is_there(owner):
            ready = [key.fileobj for key, _ in selector.select(SECONDS)]
            if wakes in ready:
                wakes.recv(4096)
            for process, status in _ended(connections):
                with connections.pop(process) as connection, contextlib.suppress(OSError):
                    messages.send(connection, {"status": status})
            if listener not in ready:
                continue
            connection, _ = listener.accept()
            connection.setblocking(True)
            try:
                request, descriptors = messages.receive(connection, child.DESCRIPTORS)
            except ConnectionError:
                request = None
            if request is None:  # a client that ended before it had asked
                connection.close()
                continue
            if "end" in request:
                break
            # A signal that is sent to the child at once is to meet the handlers of a new process.
            signal.pthread_sigmask(signal.SIG_BLOCK, child.SIGNALS)
            process = os.fork()
            if process == 0:
                for one in (listener, wakes, wake, *connections.values()):
                    one.close()
                return request | {"descriptors": descriptors, "connection": connection}
            signal.pthread_sigmask(signal.SIG_UNBLOCK, child.SIGNALS)
            for one in descriptors:
                os.close(one)
            connections[process] = connection
    for process in connections:
        os.kill(process, signal.SIGKILL)
    if not _is_there(owner):  # which would have removed it
        shutil.rmtree(os.path.dirname(listener.getsockname()))
    return None


def _say_and_end(number: int, frame) -> None:
    """So that the log says that it was not the server's own decision."""
    raise SystemExit(f"ended by {signal.Signals(number).name}")


def _ended(processes) -> list[tuple[int, int]]:
    """Process id and exit status, as subprocess has it, of those that have ended since."""
    found = [(process, os.waitpid(process, os.WNOHANG)) for process in processes]
    return [(process, os.waitstatus_to_exitcode(status)) for process, (ended, status) in found if ended]


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def main(folder: str, owner: str) -> dict | None:
    libraries.import_all()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(folder, "socket"))
        listener.listen(64)
        return serve(listener, int(owner))


if __name__ == "__main__":
    wanted = main(*sys.argv[1:])
    if wanted is not None:
        # From here on, in the child: at the outermost level, so that what the command raises ends it as it would any other.
        sys.path.pop(0)
        sys.modules["__main__"] = types.ModuleType("__main__")
        child.become(wanted)
