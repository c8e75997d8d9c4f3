"""Report results of an experiment from within a RiseML job.

Inside a job this package can be imported as it is; it needs nothing but the
standard library::

    import riseml

    riseml.report_result(accuracy=0.93, loss=0.2)

Results are shown by ``riseml status``. Later values replace earlier ones of
the same name. Reporting never raises: outside of a job, or when something
goes wrong, a line ``Results not reported: ...`` is printed instead and the
program goes on.
"""

import json
import math
import os
import socket

__all__ = ["report_result"]
__version__ = "2.0.0"

_TIMEOUT_SECONDS = 10
_MAX_LINE_BYTES = 64 * 1024
_MAX_PATH_BYTES = 100  # a socket's path has room for 107


def report_result(**values):
    """Report named results of this experiment.

    Values are numbers, texts or booleans; NumPy scalars, tensors with one
    element and everything else with an ``item()`` method are converted.
    Numbers that are not finite are reported as the texts ``nan``, ``inf`` and
    ``-inf``.

    Returns None and never raises.
    """
    try:
        _send({str(name): _plain(name, value) for name, value in values.items()})
    except Exception as error:  # a report must never end a training
        _complain(error)


def _complain(error):
    try:
        print("Results not reported: {}".format(error), flush=True)
    except Exception:  # standard output is gone: nobody is left to tell
        return


def _plain(name, value):
    if not isinstance(value, (bool, int, float, str)) and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return str(value)
    raise TypeError(
        "{} must be a number, a text or a boolean, not {}".format(name, type(value).__name__)
    )


def _send(values):
    path = os.environ.get("RISEML_SOCKET")
    if not path:
        raise RuntimeError("not running in a RiseML job")
    line = (json.dumps({"results": values}) + "\n").encode("ascii")
    if len(line) > _MAX_LINE_BYTES:
        raise ValueError("more than {} bytes".format(_MAX_LINE_BYTES))
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_TIMEOUT_SECONDS)
        _connect(connection, path)
        connection.sendall(line)
        answer = json.loads(_read_line(connection).decode("utf-8"))
    finally:
        connection.close()
    if not answer.get("ok"):
        raise RuntimeError(answer.get("error", "refused"))


def _connect(connection, path):
    if len(os.fsencode(path)) <= _MAX_PATH_BYTES:
        connection.connect(path)
        return
    # Too long for a socket's address: by way of its directory.
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
    try:
        connection.connect("/proc/self/fd/{}/{}".format(directory, os.path.basename(path)))
    finally:
        os.close(directory)


def _read_line(connection):
    received = b""
    while not received.endswith(b"\n"):
        part = connection.recv(4096)
        if not part or len(received) > _MAX_LINE_BYTES:
            raise ConnectionError("the connection was closed")
        received += part
    return received
