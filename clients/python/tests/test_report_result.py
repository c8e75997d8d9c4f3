import contextlib
import io
import json
import os
import socket
import tempfile
import threading
import unittest
from unittest import mock

import riseml


class FakeAgent:
    """Answers each line it gets on a Unix socket with `answer`."""

    def __init__(self, path, answer=b'{"ok":true}\n'):
        self.reports = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        directory = os.open(os.path.dirname(path), os.O_PATH)
        try:
            self._listener.bind("/proc/self/fd/{}/{}".format(directory, os.path.basename(path)))
        finally:
            os.close(directory)
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rb") as lines:
            line = lines.readline()
            if line:
                self.reports.append(json.loads(line.decode("utf-8")))
                connection.sendall(self._answer)

    def close(self):
        self._thread.join()
        self._listener.close()


class Scalar:
    def __init__(self, value):
        self._value = value

    def item(self):
        return self._value


class ReportResultTest(unittest.TestCase):
    def setUp(self):
        self._directory = tempfile.TemporaryDirectory()
        self.addCleanup(self._directory.cleanup)

    def report(self, values, answer=b'{"ok":true}\n', subdirectory=""):
        directory = os.path.join(self._directory.name, subdirectory)
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, "socket")
        agent = FakeAgent(path, answer)
        printed = io.StringIO()
        with mock.patch.dict(os.environ, {"RISEML_SOCKET": path}), contextlib.redirect_stdout(printed):
            riseml.report_result(**values)
        agent.close()
        return agent.reports, printed.getvalue()

    def complaint(self, values, environment):
        printed = io.StringIO()
        with mock.patch.dict(os.environ, environment, clear=True), contextlib.redirect_stdout(printed):
            riseml.report_result(**values)
        return printed.getvalue()

    def test_sends_plain_values(self):
        reports, printed = self.report({"accuracy": 0.5, "epochs": 3, "name": "ä", "good": True})
        self.assertEqual(reports, [{"results": {"accuracy": 0.5, "epochs": 3, "name": "ä", "good": True}}])
        self.assertEqual(printed, "")

    def test_converts_scalars(self):
        reports, _ = self.report({"a": Scalar(0.25), "b": Scalar(7), "c": Scalar(False)})
        self.assertEqual(reports, [{"results": {"a": 0.25, "b": 7, "c": False}}])

    def test_sends_numbers_that_are_not_finite_as_text(self):
        reports, _ = self.report({"a": float("nan"), "b": float("inf"), "c": float("-inf")})
        self.assertEqual(reports, [{"results": {"a": "nan", "b": "inf", "c": "-inf"}}])

    def test_finds_sockets_with_long_paths(self):
        reports, printed = self.report({"a": 1}, subdirectory="x" * 120)
        self.assertEqual(reports, [{"results": {"a": 1}}])
        self.assertEqual(printed, "")

    def test_says_why_it_was_refused(self):
        _, printed = self.report({"a": 1}, answer=b'{"ok":false,"error":"too many results"}\n')
        self.assertEqual(printed, "Results not reported: too many results\n")

    def test_survives_nonsense_answers(self):
        _, printed = self.report({"a": 1}, answer=b"what?\n")
        self.assertTrue(printed.startswith("Results not reported: "), printed)

    def test_survives_a_closed_connection(self):
        _, printed = self.report({"a": 1}, answer=b"")
        self.assertEqual(printed, "Results not reported: the connection was closed\n")

    def test_outside_of_a_job_it_only_prints(self):
        self.assertEqual(self.complaint({"a": 1}, {}), "Results not reported: not running in a RiseML job\n")

    def test_without_a_listener_it_only_prints(self):
        path = os.path.join(self._directory.name, "nobody")
        printed = self.complaint({"a": 1}, {"RISEML_SOCKET": path})
        self.assertTrue(printed.startswith("Results not reported: "), printed)

    def test_refuses_values_of_other_types(self):
        printed = self.complaint({"a": [1]}, {"RISEML_SOCKET": "/nowhere"})
        self.assertEqual(printed, "Results not reported: a must be a number, a text or a boolean, not list\n")

    def test_refuses_reports_that_are_too_large(self):
        printed = self.complaint({"a": "x" * 70000}, {"RISEML_SOCKET": "/nowhere"})
        self.assertEqual(printed, "Results not reported: more than 65536 bytes\n")

    def test_never_raises_even_when_an_item_does(self):
        class Broken:
            def item(self):
                raise ValueError("only one element tensors can be converted")

        printed = self.complaint({"a": Broken()}, {"RISEML_SOCKET": "/nowhere"})
        self.assertEqual(printed, "Results not reported: only one element tensors can be converted\n")


if __name__ == "__main__":
    unittest.main()
