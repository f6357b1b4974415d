"""What client and server say to each other: JSON objects with their length in front, and descriptors beside the first."""

import json
import socket
import struct

LENGTH = struct.Struct("!I")


def send(connection: socket.socket, message: dict, descriptors: tuple[int, ...] = ()) -> None:
    """Sends `message`, and duplicates of `descriptors`."""
    text = json.dumps(message).encode()
    head = LENGTH.pack(len(text))
    if descriptors:
        socket.send_fds(connection, [head], descriptors)
    else:
        connection.sendall(head)
    connection.sendall(text)


def receive(connection: socket.socket, descriptors: int = 0) -> tuple[dict | None, list[int]]:
    """The next message and at most so many descriptors; no message where the other side has gone."""
    head, received, _, _ = socket.recv_fds(connection, LENGTH.size, descriptors)
    if not head:
        return None, []
    head += _exactly(connection, LENGTH.size - len(head))
    return json.loads(_exactly(connection, LENGTH.unpack(head)[0])), received


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        part = connection.recv(count)
        if not part:
            raise ConnectionError("the other side went away within a message")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
