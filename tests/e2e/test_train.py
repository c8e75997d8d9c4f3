"""A user's day: train, follow, look, kill; a second user; mistakes."""

import os
import stat
import subprocess
import unittest

from stack import BIN, Stack, StackTest, deliveries, eventually, processes_with


class Train(StackTest):
    def test_runs_and_keeps_log_result_and_output(self):
        path = self.stack.project(
            "hello", ["echo one", "python report.py", "echo done > $OUTPUT_DIR/file"],
            files={"report.py": "import riseml\nprint('x', end='')\nriseml.report_result(accuracy=0.5, name='a')\n"})
        number = self.stack.train(path)
        self.stack.run("wait", number)
        self.assertEqual(self.stack.run("logs", "--raw", number), b"one\nx")
        experiment = self.stack.experiment(number)
        self.assertEqual(experiment["state"], "FINISHED")
        self.assertEqual(experiment["result"], {"accuracy": 0.5, "name": "a"})
        with open(os.path.join(experiment["output_path"], "file"), encoding="ascii") as file:
            self.assertEqual(file.read(), "done\n")
        with open(os.path.join(experiment["output_path"], "riseml-experiment.yml"), encoding="utf-8") as file:
            self.assertIn("hello", file.read())

    def test_train_follows_to_the_outcome(self):
        path = self.stack.project("follow", "for i in 1 2 3; do echo line $i; done")
        text = self.stack.run("train", "-l", cwd=path).decode()
        for line in ("line 1", "line 2", "line 3", "FINISHED"):
            self.assertIn(line, text)

    def test_failing_command_stops_the_experiment(self):
        path = self.stack.project("failing", ["echo before", "exit 7", "echo after"])
        number = self.stack.train(path)
        self.stack.run("wait", number, code=1)
        self.assertEqual(self.stack.run("logs", "--raw", number), b"before\n")
        job = self.stack.experiment(number)["jobs"][0]
        self.assertEqual(job["exit_code"], 7)
        self.assertIn("return code: 7", job["message"])

    def test_failed_job_is_started_again_where_that_was_asked_for(self):
        path = self.stack.project("again", ["echo attempt $RISEML_ATTEMPT; echo $RISEML_ATTEMPT >> $OUTPUT_DIR/attempts; [ $RISEML_ATTEMPT = 2 ]"],
                                  retries={"error": 1})
        number = self.stack.train(path)
        self.stack.wait_state(number, "RUNNING", "PENDING")
        eventually(lambda: "tried again in 10s, retry 1 of 1" in self.stack.experiment(number)["jobs"][0]["message"], "the failure is told")
        self.stack.run("wait", number)
        job = self.stack.json("status", f"{number}.train")["job"]
        self.assertEqual([(attempt["number"], attempt["state"], attempt["exit_class"]) for attempt in job["attempts"]],
                         [(1, "FAILED", "USER_ERROR"), (2, "FINISHED", "SUCCESS")])
        self.assertRegex(self.stack.run("status", f"{number}.train").decode(), r"Attempt 1: \S FAILED on node local after \d seconds?: .*return code: 1")
        self.assertEqual(self.stack.run("logs", "--raw", f"{number}.train"), b"attempt 1\nattempt 2\n")
        self.assertRegex(self.stack.run("logs", number).decode(),
                         r"attempt 1\n[^\n]*--> FAILED \(attempt 1\)\n[^\n]*return code: 1[^\n]*tried again, attempt 2 follows\n[^\n]*attempt 2\n")
        with open(os.path.join(self.stack.experiment(number)["output_path"], "attempts"), encoding="ascii") as file:
            self.assertEqual(file.read(), "1\n2\n")

    def test_any_bytes_are_stored_exactly(self):
        script = (
            "import sys\nout = sys.stdout.buffer\nout.write(bytes(range(256)) * 10)\nout.write(b'x' * 10_000_000 + b'\\n')\n"
            "out.write(b'\\xff\\xfe\\x00 end')\n")
        path = self.stack.project("bytes", "python write.py", files={"write.py": script})
        number = self.stack.train(path)
        self.stack.run("wait", number)
        self.assertEqual(
            self.stack.run("logs", "--raw", number), bytes(range(256)) * 10 + b"x" * 10_000_000 + b"\n" + b"\xff\xfe\x00 end")
        shown = self.stack.run("logs", number)
        self.assertNotIn(b"\x00", shown)
        self.assertNotIn(b"\x07", shown)

    def test_kill_stops_the_whole_process_tree(self):
        mark = f"1000.{os.getpid()}"  # the number of a process is another one inside of the job
        path = self.stack.project("killed", f"trap '' TERM; (sleep {mark} & setsid sleep {mark} & wait) & echo up; wait; sleep {mark}")
        number = self.stack.train(path)
        self.stack.wait_state(number, "RUNNING")
        eventually(lambda: len(processes_with(mark, "sleep")) == 2, "both sleep")
        self.assertIn(f"killed experiment {number}", self.stack.run("kill", number).decode())
        self.stack.run("wait", number, code=3)
        self.assertEqual(self.stack.state(number), "KILLED")
        self.assertEqual(processes_with(mark, "sleep"), [])

    def test_grid_runs_every_combination_with_its_own_output(self):
        path = self.stack.project(
            "grid", "echo {{b}} $A > $OUTPUT_DIR/values", parameters={"a": [1, 2], "b": ["x", "y"]}, concurrency=2)
        number = self.stack.train(path)
        self.stack.run("wait", number)
        values = []
        for child in range(1, 5):
            with open(os.path.join(self.stack.experiment(f"{number}.{child}")["output_path"], "values"), encoding="ascii") as file:
                values.append(file.read().strip())
        self.assertEqual(values, ["x 1", "y 1", "x 2", "y 2"])

    def test_environment_is_built_once_and_reused(self):
        install = ["python -c 'import sys; print(sys.prefix)'"]
        path = self.stack.project("environment", "command -v python", install=install)
        first = self.stack.train(path)
        self.stack.run("wait", first, limit=300)
        self.assertEqual([job["role"] for job in self.stack.experiment(first)["jobs"]], ["build", "train"])
        prefix = self.stack.run("logs", "--raw", first).decode().strip()
        self.assertIn("/usr/bin/" if self.stack.podman else "/environments/", prefix)
        with open(os.path.join(path, "code.py"), "w", encoding="utf-8") as file:
            file.write("# an edit\n")
        second = self.stack.train(path)
        self.stack.run("wait", second)
        self.assertEqual([job["role"] for job in self.stack.experiment(second)["jobs"]], ["train"])
        self.assertEqual(self.stack.run("logs", "--raw", second).decode().strip(), prefix)

    def test_failed_build_names_the_step(self):
        path = self.stack.project("broken-build", "true", install=["python -c 'print(1)'", "apt-get install -y gcc"])
        number = self.stack.train(path)
        self.stack.run("wait", number, code=1, limit=300)
        experiment = self.stack.experiment(number)
        self.assertEqual(experiment["reason"], "BUILD_FAILED")
        log = self.stack.run("logs", "--raw", f"{number}.build").decode()
        self.assertIn("apt-get install -y gcc", log)
        self.assertIn("apt-get", experiment["message"])

    def test_mistakes_create_nothing(self):
        path = self.stack.project("mistake", "true")
        before = self.stack.run("status", "-a", "-n", "0", "-q")
        for text, words in (
            ("project: mistake\ntrain:\n  image: x\n  resources: {cpu: 1}\n  run: a\n", ["riseml.yml:4:", "cpus"]),
            ("project: mistake\ntrain:\n  image: x\n  resources: {}\n  run: a {{b}}\n  parameters: {a: 1}\n", ["riseml.yml:5:", "b"]),
            ("a: &a [*a]\n", ["riseml.yml:1:"]),
            ("\tproject: x\n", ["riseml.yml:1:"]),
        ):
            with open(os.path.join(path, "riseml.yml"), "w", encoding="utf-8") as file:
                file.write(text)
            error = self.stack.fails("train", cwd=path)
            self.assertTrue(error.startswith("ERROR:"), error)
            for word in words:
                self.assertIn(word, error)
        self.assertEqual(self.stack.run("status", "-a", "-n", "0", "-q"), before)

    def test_secrets_stay_out(self):
        path = self.stack.project("secrets", "ls -a", files={".env": "KEY=1\n", "a.py": ""})
        number = self.stack.train(path)
        self.stack.run("wait", number)
        names = self.stack.run("logs", "--raw", number).decode().split()
        self.assertIn("a.py", names)
        self.assertNotIn(".env", names)
        self.assertNotIn("riseml.yml", names)

    def test_a_job_sees_nothing_of_the_installation(self):
        path = self.stack.project("curious", ["ls -a / > $OUTPUT_DIR/root", "id -u", f"ls {self.stack.dir}/secrets || echo hidden"])
        number = self.stack.train(path)
        self.stack.run("wait", number)
        lines = self.stack.run("logs", "--raw", number).decode().splitlines()
        # Where no sandbox can be made, that is said instead. Root of a container is another account outside.
        if self.stack.podman:
            self.assertEqual((lines[0], lines[-1]), ("0", "hidden"))
            self.assertNotEqual(os.stat(os.path.join(self.stack.experiment(number)["output_path"], "root")).st_uid, os.geteuid())
        elif self.stack.json("system", "info")["nodes"][0]["isolation"] == "BUBBLEWRAP":
            self.assertEqual(lines[-1], "hidden")
            self.assertNotEqual(lines[0], "0")
        else:
            self.assertIn("does not keep jobs apart", self.stack.run("system", "info").decode())

    def test_configuration_with_the_key_is_private(self):
        mode = os.stat(self.stack.env["RISEML_CONFIG"]).st_mode
        self.assertEqual(stat.S_IMODE(mode), 0o600)

    def test_a_second_user_sees_and_changes_nothing_of_the_first(self):
        path = self.stack.project("private", "echo secret; sleep 1000")
        number = self.stack.train(path)
        self.stack.wait_state(number, "RUNNING")
        config = self.stack.add_user("mary")
        self.assertIn("mary", self.stack.run("whoami", config=config).decode())
        for command in (["status", f".admin.{number}"], ["logs", f".admin.{number}", "--no-follow"], ["kill", f".admin.{number}"]):
            self.assertNotIn("secret", self.stack.fails(*command, config=config))
        self.assertEqual(self.stack.state(number), "RUNNING")
        self.stack.run("kill", number)

    def test_no_server_no_key_no_configuration(self):
        missing = os.path.join(self.stack.root, "absent")
        self.assertIn("riseml up", self.stack.fails("status", config=missing))
        wrong = os.path.join(self.stack.root, "wrong")
        with open(self.stack.env["RISEML_CONFIG"], encoding="utf-8") as file:
            text = file.read()
        own_key = next(word for word in text.split() if word.startswith("rml_"))
        with open(os.open(wrong, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
            file.write(text.replace(own_key, "rml_" + "0" * 59))
        self.assertIn("not authorized", self.stack.fails("status", config=wrong))


def users_of(directory):
    """What keeps a directory busy: processes that stand in it, run from it or have a file of it open, and mounts."""
    users = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        links = [f"/proc/{pid}/{name}" for name in ("cwd", "root", "exe")]
        try:
            links += [f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd")]
            users += [(link, os.readlink(link)) for link in links if os.readlink(link).startswith(directory + "/")]
        except OSError:
            pass  # it has just ended
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        return users + [line for line in mounts if directory + "/" in line]


class UpAndDown(unittest.TestCase):
    def test_down_leaves_nothing_that_keeps_the_directory_busy(self):
        stack = Stack()
        self.addCleanup(stack.close)
        stack.up()
        self.assertTrue(users_of(stack.dir), "services are seen while they run")
        number = stack.train(stack.project("quiet", "sleep 600 & echo done", install="mkdir made"))
        stack.run("wait", number)
        eventually(lambda: not deliveries(stack.dir), "the logs are delivered")
        stack.down()
        eventually(lambda: not users_of(stack.dir), "nothing uses the directory", 30)

    def test_jobs_survive_down_and_their_end_is_seen_after_up(self):
        stack = Stack()
        self.addCleanup(stack.close)
        stack.up()
        path = stack.project("survivor", "while [ ! -e $OUTPUT_DIR/go ]; do sleep 0.05; done; echo went")
        number = stack.train(path)
        stack.wait_state(number, "RUNNING")
        output = stack.experiment(number)["output_path"]
        stack.down()
        self.assertIn("riseml up", stack.fails("status"))
        with open(os.path.join(output, "go"), "w", encoding="ascii"):
            pass
        stack.up()
        stack.run("wait", number)
        self.assertEqual(stack.run("logs", "--raw", number), b"went\n")
        self.assertEqual(stack.experiment(number)["jobs"][0]["attempt_count"], 1)

    def test_up_waits_for_a_database_that_recovers(self):
        stack = Stack()
        self.addCleanup(stack.close)
        stack.up()
        status = [os.path.join(BIN, "riseml-supervisor"), "status", "--dir", stack.dir]
        self.assertEqual(subprocess.run(status, env=stack.env, check=False, stdout=subprocess.DEVNULL).returncode, 0)
        pid = stack.kill("supervisor")
        eventually(lambda: not os.path.exists(f"/proc/{pid}/exe"), "the supervisor ends")
        told = subprocess.run(status, env=stack.env, check=False, stdout=subprocess.PIPE, text=True)
        self.assertEqual(told.returncode, 1)
        self.assertIn("The supervisor is not running", told.stdout)
        stack.kill("postgres")
        stack.up()
        self.assertIn(b"admin", stack.run("whoami"))

    def test_up_twice_is_harmless(self):
        stack = Stack()
        self.addCleanup(stack.close)
        stack.up()
        pid = stack.pid("api")
        stack.up()
        self.assertEqual(stack.pid("api"), pid)
        eventually(lambda: b"admin" in stack.run("whoami"), "whoami")


if __name__ == "__main__":
    unittest.main()
