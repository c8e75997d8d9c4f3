"""What is uploaded: the field cases about files, each with the programs as users have them."""

import json
import os
import subprocess
import threading
import time

from stack import StackTest

GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]


class Sync(StackTest):
    def write(self, root, files):
        """Writes files below `root`; a value that is None makes a directory."""
        for path, text in files.items():
            full = os.path.join(root, path)
            os.makedirs(full if text is None else os.path.dirname(full), exist_ok=True)
            if text is not None:
                with open(full, "wb") as file:
                    file.write(text if isinstance(text, bytes) else text.encode())

    def project(self, name, run, files=None, **train):
        """A project in a new directory; returns its path."""
        root = os.path.join(self.stack.root, "cases", name)
        os.makedirs(root)
        self.write(root, files or {})
        self.config(os.path.join(root, "riseml.yml"), name, run, **train)
        return root

    def config(self, path, name, run, **train):
        spec = {"image": self.stack.image, "resources": {"cpus": 0.1, "mem": 64}, **train, "run": run}
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"project": name, "train": spec}, file)

    def git(self, root, *args):
        subprocess.run([*GIT, *args], cwd=root, check=True, capture_output=True, env=self.stack.env)

    def train(self, cwd, *args, code=0):
        """Trains to the end; returns the log of the job, what was printed, and what was told."""
        process = self.stack.popen("train", "-l", *args, cwd=cwd)
        out, err = (text.decode() for text in process.communicate(timeout=180))
        self.assertEqual(process.returncode, code, out + err)
        started = [line.split()[2] for line in out.splitlines() if line.startswith("Started experiment")]
        log = self.stack.run("logs", "--raw", started[0]).decode() if started else ""
        return log, out, err

    FIND = "find . -not -type d | sort"

    def test_case4_ignore_files_add_up(self):
        root = self.project("c04", self.FIND, {
            ".gitignore": "secrets.yaml\nckpt/\n", "secrets.yaml": "db_password: hunter2", "ckpt/last.pt": b"x" * 100_000,
            "train.py": ""})
        self.git(root, "init", "-q")
        log, _, err = self.train(root)
        self.assertEqual(log.split(), ["./.gitignore", "./train.py"])
        self.assertIn("ckpt/ (ckpt/ in .gitignore, 1 file, 97.7 KB)", err)
        self.assertIn("secrets.yaml", err)
        self.write(root, {".risemlignore": "/data\n!ckpt/last.pt\n"})
        log, _, _ = self.train(root)
        self.assertEqual(log.split(), ["./.gitignore", "./.risemlignore", "./ckpt/last.pt", "./train.py"])

    def test_r3_data_of_dvc(self):
        root = self.project("r3", "find .dvc data -type f | sort", {
            "data/data.xml": "<row/>", "data/data.xml.dvc": "outs:", "data/.gitignore": "/data.xml\n",
            ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n", ".dvc/config.local": "secret_access_key = s3cr3t",
            ".dvc/cache/old-version": b"x" * 300_000})
        self.git(root, "init", "-q")
        _, _, err = self.train(root)
        self.assertIn("data/data.xml is managed by DVC", err)
        self.assertIn("!/data/data.xml", err)
        self.assertRegex(err, r"look like secrets: \.dvc/config\.local")
        self.write(root, {".risemlignore": "!data/data.xml\n"})
        log, _, _ = self.train(root)
        self.assertEqual(log.split(), [".dvc/.gitignore", "data/.gitignore", "data/data.xml", "data/data.xml.dvc"])

    def test_case9_links_go_up_as_links(self):
        root = self.project("c09", ["python train.py", "readlink data again.py up dangling loop"], {"train.py": "print('ok')"})
        for name, target in (("data", "/mnt/datasets"), ("again.py", "a/../train.py"), ("up", "../../x"),
                             ("dangling", "nowhere"), ("loop", "loop")):
            os.symlink(target, os.path.join(root, name))
        log, _, err = self.train(root)
        self.assertEqual(log.split(), ["ok", "/mnt/datasets", "a/../train.py", "../../x", "nowhere", "loop"])
        self.assertIn("data -> /mnt/datasets", err)
        self.assertIn("/data", err)

    def test_case12_tracked_files_are_uploaded(self):
        root = self.project("c12", 'python -c "import logging_utils; from src.data import loader; print(loader.X)"', {
            ".gitignore": "data/\nlog*\n", "src/data/loader.py": "X = 1", "logging_utils.py": "", "log.txt": "x"})
        self.git(root, "init", "-q")
        self.git(root, "add", "-f", "src/data/loader.py", "logging_utils.py", ".gitignore")
        self.git(root, "commit", "-qm", "tracked although ignored")
        self.assertEqual(self.train(root)[0], "1\n")

    def test_case12_a_command_that_names_what_is_left_out(self):
        root = self.project("c12n", "python log_tool.py", {".gitignore": "log*\n", "log_tool.py": ""})
        _, _, err = self.train(root, code=1)
        self.assertIn("log_tool.py, which is left out (log* in .gitignore)", err)
        self.assertIn("add the line !/log_tool.py to .risemlignore", err)
        self.write(root, {".risemlignore": "!/log_tool.py\n"})
        self.train(root)

    def test_case15_empty_directories_are_kept(self):
        root = self.project("c15", "echo w > checkpoints/model.pt && echo w > a/b/x && ls", {
            "checkpoints": None, "a/b": None, ".gitignore": "checkpoints/\n"})
        self.assertEqual(self.train(root)[0].split()[:2], ["a", "checkpoints"])

    def test_case17_the_project_is_looked_for_upwards(self):
        root = self.project("c17", "python train.py", {"train.py": "print('ok')", "configs": None, "src/deep": None})
        self.config(os.path.join(root, "configs", "riseml-big.yml"), "c17", "python train.py")
        for cwd, args in ((root, ["-f", "configs/riseml-big.yml"]), (os.path.join(root, "src/deep"), []),
                          (os.path.join(root, "configs"), ["-f", "riseml-big.yml"])):
            log, out, _ = self.train(cwd, *args)
            self.assertEqual(log, "ok\n")
            self.assertIn("Project directory: " + os.path.realpath(root), out)
        self.assertIn("c17", self.stack.run("validate", cwd=os.path.join(root, "src")).decode())
        os.remove(os.path.join(root, "riseml.yml"))
        _, out, err = self.train(root, "-f", "configs/riseml-big.yml", code=1)
        self.assertIn("Project directory: " + os.path.realpath(root) + "/configs", out)
        self.assertIn("train.py lies in " + os.path.realpath(root), err)
        self.git(root, "init", "-q")
        self.assertEqual(self.train(root, "-f", "configs/riseml-big.yml")[0], "ok\n")

    def test_case20_defaults_look_at_contents(self):
        root = self.project("c20", 'python -c "from src.loggers.wandb import log; log()"', {
            "src/loggers/wandb/__init__.py": "def log(): print('logged')"})
        self.assertEqual(self.train(root)[0], "logged\n")
        root = self.project("c20n", self.FIND, {
            "wandb/run-1-a/x": "", "env/conda-meta/history": "", "env/bin/python": "", "m.pyc": "", "p/__pycache__/m.pyc": ""})
        self.assertEqual(self.train(root)[0], "")
        self.write(root, {".risemlignore": "!wandb/\n!/env/\n!m.pyc\n!__pycache__/\n"})
        self.assertEqual(len(self.train(root)[0].split()), 6)

    def test_case27_a_file_that_is_written_stops_nothing(self):
        root = self.project("c27", "ls tb", {"tb/events.1": "", "train.py": ""})
        stop = threading.Event()

        def write():
            n = 0
            with open(os.path.join(root, "tb/events.1"), "ab", buffering=0) as events:
                while not stop.is_set():
                    events.write(os.urandom(2000))
                    n += 1
                    name = os.path.join(root, f"tmp{n}")
                    with open(name, "w", encoding="ascii"):
                        pass
                    os.remove(name)
                    time.sleep(0.001)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            log, _, err = self.train(root)
        finally:
            stop.set()
            writer.join()
        self.assertEqual(log, "events.1\n")
        self.assertRegex(err, "WARNING: tb/events.1 kept changing")

    def test_r2_submodules_and_lfs_pointers(self):
        cases = os.path.join(self.stack.root, "cases")
        lib = os.path.join(cases, "lib1")
        self.write(lib, {"core.py": "X = 1", "doc/tpl.html": "<p>"})
        one = os.path.join(cases, "sub1")
        self.write(one, {".gitignore": "*.html\n"})
        for root in (lib, one):
            self.git(root, "init", "-q")
        self.git(lib, "add", "-A")
        self.git(lib, "commit", "-qm", "x")
        self.git(one, "submodule", "--quiet", "add", lib, "lib")
        self.git(one, "add", "-A")
        self.git(one, "commit", "-qm", "x")
        two = os.path.join(cases, "sub2")
        self.git(cases, "clone", "-q", one, two)
        self.config(os.path.join(two, "riseml.yml"), "own-sub", "find lib -type f | sort")
        pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "7".zfill(64) + "\nsize 132735\n"
        self.write(two, {"weights.bin": pointer})
        _, _, err = self.train(two)
        self.assertIn("submodule lib is not checked out: git submodule update --init", err)
        self.assertIn("weights.bin is a Git LFS pointer: git lfs pull", err)
        self.git(two, "submodule", "update", "--init")
        log, _, err = self.train(two)
        self.assertEqual(log.split(), ["lib/core.py", "lib/doc/tpl.html"])
        self.assertNotIn("submodule", err)

    def test_dry_run_lists_and_sends_nothing(self):
        root = self.project("dry", "ls", {".gitignore": "*.log\n", "train.py": "1", "big.log": b"x" * 5000, "empty": None})
        before = self.stack.run("status", "-a", "-q")
        text = self.stack.run("train", "--dry-run", cwd=root).decode()
        self.assertRegex(text, r"Would upload 2 files")
        self.assertRegex(text, r"train.py +1 B")
        self.assertRegex(text, r"empty/ +empty directory")
        self.assertRegex(text, r"big.log +4.9 KB +\*.log in .gitignore")
        self.assertEqual(self.stack.run("status", "-a", "-q"), before)

    def test_title_says_what_travels(self):
        root = self.project("title", "ls", {"a": "1", "b": "22"})
        self.assertIn("Syncing project (3 B, 2 files)...done", self.train(root)[1])
        self.assertIn("Project is unchanged (3 B, 2 files); nothing is sent\n", self.train(root)[1])
        self.write(root, {"b": "333"})
        self.assertIn("Syncing project (3 B, 1 of 2 files)...done", self.train(root)[1])
