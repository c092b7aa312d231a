"""`comfyfleet` without its start-up: a process that has imported all of it forks for each call.

Pages call the command some fifty times; importing Celery and boto3 anew would take most of their
time. What a call does, it does in a process of its own: with its own folder, environment, standard
streams and exit status. tests/acceptance/test_cli.py starts the command as it is installed.

    python -m tests.docs.preloaded SOCKET          serve until the standard input ends
    python tests/docs/preloaded.py SOCKET ARGS...  call it: what the `comfyfleet` of a page does
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
from importlib import import_module
from pathlib import Path

#: What a call would import by itself once it does something.
_NEEDED = ("boto3", "producer.cli.main", "producer.client", "producer.dispatch", "rich.progress")
_MOST = 1 << 20


def serve(path: str) -> None:
    """Answer calls, each in a fork, until the standard input ends."""
    for name in _NEEDED:
        import_module(name)
    import_module("celery_config").app.finalize()
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(path)
        listener.listen()
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        while all(key.fileobj is listener for key, _ in selector.select()):
            connection, _ = listener.accept()
            if os.fork() == 0:
                _answer(connection)
            connection.close()
            while any(_ended_children()):
                pass


def _ended_children():
    try:
        yield os.waitpid(-1, os.WNOHANG)[0]
    except ChildProcessError:
        return


def _answer(connection: socket.socket) -> None:
    """Run one call as if it had been started, and send its exit status."""
    content, streams, _, _ = socket.recv_fds(connection, _MOST, 3)
    call = json.loads(content)
    for stream, fd in enumerate(streams):
        os.dup2(fd, stream)
    # Those of the server may be files, and know it: what may be done with a pipe is less.
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(os.dup(stream), mode) for stream, mode in enumerate("rww")
    )
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"])
    sys.argv = ["comfyfleet", *call["arguments"]]
    status = 0
    try:
        import_module("producer.cli.main").main()
    except SystemExit as exc:
        status = exc.code if isinstance(exc.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(bytes([status]))
        os._exit(status)


def call(path: str, arguments: list[str]) -> int:
    """Have the server run a call with our streams; return its exit status."""
    told = {"arguments": arguments, "folder": str(Path.cwd()), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [json.dumps(told).encode()], [0, 1, 2])
        return connection.recv(1)[0]


if __name__ == "__main__":
    if __package__:
        serve(sys.argv[1])
    else:
        sys.exit(call(sys.argv[1], sys.argv[2:]))
