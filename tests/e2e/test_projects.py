"""What real projects bring: parameters, variables, secrets, requests that cannot be met. Tests are named after their case."""

import json
import os
import subprocess
import unittest

from stack import StackTest, eventually


class Projects(StackTest):
    def finish(self, path, *args, code=0):
        """Trains a project to its end; returns the experiment."""
        number = self.stack.train(path, *args)
        self.stack.run("wait", number, code=code, limit=300)
        return self.stack.experiment(number)

    def log(self, name):
        return self.stack.run("logs", "--raw", name).decode()

    def feed(self, text, *args):
        """Runs the program with standard input."""
        done = subprocess.run([os.path.join(os.environ["RISEML_BIN"], "riseml"), *args], env=self.stack.env, input=text.encode(),
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()

    def test_case_05_blanks_in_placeholders_vary_the_grid(self):
        path = self.stack.project("c05", 'echo "training with lr={{ lr }}"', parameters={"lr": [0.1, 0.01]})
        number = self.stack.train(path)
        self.stack.run("wait", number)
        self.assertEqual([self.log(f"{number}.{i}").strip() for i in (1, 2)],
                         ["training with lr=0.1", "training with lr=0.01"])

    def test_case_14_booleans_and_null_are_swept(self):
        path = self.stack.project("c14", "echo {{x}}", parameters={"x": [True, None, 3, [1, 2]]})
        number = self.stack.train(path)
        self.stack.run("wait", number)
        self.assertEqual([self.log(f"{number}.{i}").strip() for i in range(1, 5)], ["True", "None", "3", "[1,2]"])

    def test_case_28_braces_are_text(self):
        code = "python3 - <<'EOF'\nx = 1\nprint(f\"literal braces: {{x}}, value: {x}\")\nEOF\n"
        self.assertEqual(self.log(self.finish(self.stack.project("c28", code))["name"].rsplit("/", 1)[1]),
                         "literal braces: {x}, value: 1\n")
        path = self.stack.project("c28b", "echo '{{{{x}}}}' {{a}}", parameters={"a": [1]})
        number = self.stack.train(path)
        self.stack.run("wait", number)
        self.assertEqual(self.log(f"{number}.1"), "{{x}} 1\n")

    def test_case_08_variables_of_file_and_command_line(self):
        path = self.stack.project("c08", 'echo "mode=$MODE key=$KEY own=$OWN"', env={"MODE": "offline", "KEY": "file"})
        self.stack.env["OWN"] = "from the shell"
        self.addCleanup(self.stack.env.pop, "OWN")
        number = self.stack.train(path, "--env", "KEY=line", "--env", "OWN")
        self.stack.run("wait", number)
        self.assertEqual(self.log(number), "mode=offline key=line own=from the shell\n")
        self.assertIn("this shell has no variable NOT_SET", self.stack.fails("train", "--env", "NOT_SET", cwd=path))

    def test_case_08_secrets_reach_the_job_and_nothing_else(self):
        path = self.stack.project(
            "c08s", ['echo "key=[$WANDB_API_KEY]"', 'stat -c %a "$GCP_KEY"; cat "$GCP_KEY"', 'echo "$WANDB_API_KEY" > $OUTPUT_DIR/key'],
            secrets=["WANDB_API_KEY", {"GCP_KEY": "file"}])
        self.assertIn("riseml secret set GCP_KEY", self.stack.fails("train", cwd=path))
        self.feed("0123abcd-secret\n", "secret", "set", "WANDB_API_KEY")
        self.feed("line one of the key\nline two of the key\n", "secret", "set", "GCP_KEY", "--project", "c08s")
        number = self.stack.train(path)
        self.stack.run("wait", number)
        self.assertEqual(self.log(number),
                         f"key=[{'*' * 15}]\n400\n{'*' * 19}\n{'*' * 19}")
        experiment = self.stack.experiment(number)
        with open(os.path.join(experiment["output_path"], "key"), encoding="ascii") as file:
            self.assertEqual(file.read(), "0123abcd-secret\n")
        self.assertNotIn("0123abcd", json.dumps(experiment) + self.stack.run("status", f"{number}.train").decode())
        listed = self.stack.run("secret", "list").decode()
        self.assertIn("WANDB_API_KEY", listed)
        self.assertNotIn("never", listed)
        self.assertIn("deleted", self.stack.run("secret", "rm", "WANDB_API_KEY").decode())
        self.assertIn("is not set", self.stack.fails("secret", "rm", "WANDB_API_KEY"))

    def test_credentials_for_registries(self):
        self.assertIn("stored", self.feed("robot\ns3cr3t-word\n", "registry", "login", "ghcr.io"))
        self.assertIn("stored for all users", self.feed("s3cr3t-word\n", "registry", "login", "docker.io", "-u", "robot", "--all-users"))
        listed = self.stack.run("registry", "list").decode()
        self.assertIn("ghcr.io", listed)
        self.assertIn("all users", listed)
        self.assertNotIn("s3cr3t", listed)
        self.assertIn("deleted", self.stack.run("registry", "logout", "ghcr.io").decode())
        self.assertIn("there is no credential for ghcr.io", self.stack.fails("registry", "logout", "ghcr.io"))
        self.assertIn("names of images", self.stack.fails("registry", "login", "https://ghcr.io", "-u", "x"))

    def test_case_08_messages_hide_what_logs_hide(self):
        self.feed("topsecretvalue\n", "secret", "set", "TOK")
        path = self.stack.project("c08m", "echo $URL $TOK; curl -s https://me:hunter22@127.0.0.1:1/x || true; echo topsecretvalue; exit 4",
                                  secrets=["TOK"], env={"URL": "https://u:pw12345@h/x"})
        number = self.stack.train(path)
        self.stack.run("wait", number, code=1)
        shown = "".join(self.stack.run(*words).decode() for words in (
            ("status", number), ("status", f"{number}.train"), ("logs", number)))
        message = self.stack.experiment(number)["jobs"][0]["message"]
        self.assertIn("return code: 4", message)
        for secret in ("hunter22", "pw12345"):
            self.assertNotIn(secret, shown + message)
        self.assertNotIn("topsecretvalue", message + self.stack.run("logs", number).decode())

    def test_case_15_the_job_knows_the_commit(self):
        path = self.stack.project("c15", 'echo "$RISEML_GIT_COMMIT $RISEML_GIT_BRANCH $RISEML_GIT_DIRTY $SETUPTOOLS_SCM_PRETEND_VERSION"',
                                  files={"a.py": ""})
        git = ["git", "-C", path, "-c", "user.name=a", "-c", "user.email=a@b"]
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "x"], ["tag", "v1.0"]):
            subprocess.run(git + words, check=True, env=self.stack.env)
        commit = subprocess.run(git + ["rev-parse", "HEAD"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        number = self.stack.train(path)
        self.stack.run("wait", number)
        self.assertEqual(self.log(number), f"{commit} main 0 1.0\n")
        self.assertIn(f"your commit {commit[:7]} on main)", self.stack.run("status", number).decode())
        with open(os.path.join(path, "a.py"), "w", encoding="ascii") as file:
            file.write("# changed\n")
        number = self.stack.train(path)
        self.assertIn(" on main, 1 file changed)", self.stack.run("status", number).decode())
        for name in ("riseml-big.yml", "new.py"):
            shown = self.stack.run("status", self.stack.train(path)).decode()
            self.assertNotIn("git does not track", shown)
            with open(os.path.join(path, name), "w", encoding="ascii") as file:
                file.write("#\n")
        self.assertIn("1 file changed, with files that git does not track)",
                      self.stack.run("status", self.stack.train(path)).decode())

    def test_case_10_data_of_the_machine_is_seen_by_name(self):
        big = os.path.join(self.stack.root, "bigdisk")
        os.makedirs(big)
        with open(os.path.join(big, "0.txt"), "w", encoding="ascii") as file:
            file.write("img\n")
        os.symlink(big, os.path.join(self.stack.dir, "data", "mnist"))
        path = self.stack.project("c10", "cat /data/mnist/0.txt $RISEML_DATA_DIR/mnist/0.txt; touch /data/mnist/x && exit 1 || true")
        number = self.stack.train(path)
        self.stack.run("wait", number, code=1)
        self.assertIn(f"riseml up --data mnist={big}", self.log(number))
        self.assertIn("riseml down", self.stack.fails("up", "--dir", self.stack.dir, "--data", f"mnist={big}"))
        self.stack.down()
        self.assertIn("no such directory", self.stack.fails("up", "--dir", self.stack.dir, "--data", "x=/nowhere"))
        self.stack.up("--data", f"mnist={big}")
        number = self.stack.train(path)
        self.stack.run("wait", number)
        self.assertEqual(self.log(number).split("\n")[:2], ["img", "img"])
        self.assertIn(f"/data/mnist is {big}", self.stack.run("system", "info").decode())

    def test_case_24_what_no_node_can_hold_fails_at_once(self):
        path = self.stack.project("c24", "true", resources={"cpus": 100000, "mem": 64, "gpus": 0}, install=["sleep 60"])
        experiment = self.finish(path, code=1)
        self.assertIn("is all that node local has; ask for less under 'resources:'", experiment["message"])

    def test_repo_r1_kill_stays_in_its_project(self):
        mine = self.stack.project("r1a", "sleep 60")
        other = self.stack.project("r1b", "sleep 60")
        os.rename(os.path.join(other, "riseml.yml"), os.path.join(other, "riseml-big.yml"))
        first = self.stack.train(mine)
        second = self.stack.train(other, "-f", "riseml-big.yml")
        self.assertIn("-f FILE", self.stack.fails("kill", cwd=os.path.join(self.stack.root, "projects")))
        self.assertEqual(self.stack.run("kill", "-f", "riseml-big.yml", cwd=other).decode(), f"killed experiment {second}\n")
        self.assertNotEqual(self.stack.experiment(first)["desired_state"], "DESIRED_KILLED")
        self.stack.run("kill", "-q", first)

    def test_repo_r4_an_output_is_an_input(self):
        source = self.stack.train(self.stack.project("r4", "echo weights {{lr}} > $OUTPUT_DIR/model.pt",
                                                     parameters={"lr": [0.1, 0.2]}))
        self.stack.run("wait", source)
        reads = ["cat /inputs/model/model.pt $RISEML_INPUT_MODEL/model.pt", "ls /inputs/sweep", "find /inputs/model -name '*.pt'",
                 "! touch /inputs/model/x 2>/dev/null", "! rm $RISEML_INPUT_MODEL/model.pt 2>/dev/null"]
        path = self.stack.project("r4reader", reads, inputs={"model": f"{source}.2", "sweep": source})
        reader = self.finish(path)["name"].rsplit("/", 1)[1]
        self.assertEqual(self.log(reader), "weights 0.2\nweights 0.2\n1\n2\nshared\n/inputs/model/model.pt\n")
        shown = self.stack.run("status", reader).decode()
        self.assertIn(f"Inputs: model={source}.2 (project r4), sweep={source} (project r4)\n", shown)
        self.finish(path, "--input", f"model={source}.1")
        self.assertIn("weights 0.1\n", self.log("@last"))
        again = os.path.join(self.stack.experiment(reader)["output_path"], "riseml-experiment.yml")
        self.finish(path, "-f", again)
        self.assertIn("weights 0.2\n", self.log("@last"))
        self.assertEqual(self.stack.experiment("@last")["tree"], self.stack.experiment(reader)["tree"])

    def test_repo_r4_what_cannot_be_an_input_is_said(self):
        running = self.stack.train(self.stack.project("r4run", "until [ -e $OUTPUT_DIR/go ]; do sleep 0.1; done"))
        path = self.stack.project("r4no", "true", inputs={"model": running})
        self.assertRegex(self.stack.fails("train", cwd=path),
                         f"input model: experiment {running} is [A-Z]+ and still writes its output; wait for its end first: riseml wait {running}")
        self.stack.wait_state(running, "RUNNING")  # from then on it has an output
        self.stack.run("kill", "-q", running)
        self.stack.run("wait", running, code=3)
        self.assertIn("--input model: Could not find experiment! There is no experiment 999", self.stack.fails("train", "--input", "model=999", cwd=path))
        self.assertIn("must have the form NAME=ID", self.stack.fails("train", "--input", "model", cwd=path))
        self.finish(path)

    def test_repo_r4_rm_deletes_logs_and_outputs(self):
        source = self.stack.train(self.stack.project("rm", "echo {{lr}} > $OUTPUT_DIR/model.pt", parameters={"lr": [0.1, 0.2]}))
        self.assertRegex(self.stack.fails("rm", "--yes", source), rf"experiment {source} is [A-Z]+; stop it first: riseml kill {source}")
        self.stack.run("wait", source)
        jobs = [job["uid"] for i in (1, 2) for job in self.stack.experiment(f"{source}.{i}")["jobs"]]
        output = self.stack.experiment(source)["output_path"]
        logs = [os.path.join(self.stack.dir, "log-store", "logs", uid) for uid in jobs]
        eventually(lambda: all(map(os.path.isdir, logs)), "logs stored")
        reader = self.finish(self.stack.project("rmreader", "true", inputs={"model": f"{source}.1"}))["name"].rsplit("/", 1)[1]
        self.assertIn(f"the output of {source}.1 is an input of experiment {reader}; delete that first: riseml rm {reader}",
                      eventually(lambda: self.stack.fails("rm", "--yes", source), "rm fails"))
        self.assertIn("add --yes", self.stack.fails("rm", source))
        said = self.stack.run("rm", "--yes", source, reader).decode()
        self.assertEqual(said, f"deleted experiment {reader} of project rmreader, FINISHED\n"
                               f"deleted set {source} of project rm, 2 experiments, FINISHED\n")
        self.assertIn("Could not find experiment!", self.stack.fails("status", source))
        self.assertNotIn(f"{source} ", self.stack.run("status", "-a").decode())
        eventually(lambda: not any(map(os.path.exists, [output, *logs])), "logs and output gone")

    def test_repo_r5_children_of_a_set_share_a_directory(self):
        path = self.stack.project(
            "r5", ["mkdir $RISEML_SHARED_DIR/{{worker}}", "until [ -d /shared/1 -a -d /shared/2 ]; do sleep 0.1; done"],
            parameters={"worker": [1, 2]}, concurrency=2)
        number = self.stack.train(path)
        self.stack.run("wait", number)
        shared = os.path.join(self.stack.experiment(number)["output_path"], "shared")
        self.assertEqual(sorted(os.listdir(shared)), ["1", "2"])
        alone = self.stack.project("r5alone", "[ ! -e /shared ] && echo none: $RISEML_SHARED_DIR")
        self.assertEqual(self.log(self.finish(alone)["name"].rsplit("/", 1)[1]), "none:\n")

    def test_repo_r7_the_stored_configuration_is_the_childs(self):
        path = self.stack.project("r7", "echo {{lr}}", parameters={"lr": [0.1, 0.2]})
        number = self.stack.train(path)
        self.stack.run("wait", number)
        texts = []
        for child in (1, 2):
            experiment = self.stack.experiment(f"{number}.{child}")
            with open(os.path.join(experiment["output_path"], "riseml-experiment.yml"), encoding="utf-8") as file:
                texts.append(file.read())
        self.assertNotEqual(*texts)
        with open(os.path.join(path, "again.yml"), "w", encoding="utf-8") as file:
            file.write(texts[1])
        again = self.stack.train(path, "-f", "again.yml")
        self.stack.run("wait", again)
        self.assertEqual(self.log(again), "0.2\n")

    def test_repo_r8_the_code_of_an_experiment_comes_back(self):
        path = self.stack.project("r8", "./lr.sh", files={"lr.sh": "#!/bin/sh\necho 0.1\n"})
        os.chmod(os.path.join(path, "lr.sh"), 0o755)
        os.symlink("lr.sh", os.path.join(path, "link"))
        os.mkdir(os.path.join(path, "empty"))
        first = self.stack.train(path)
        self.stack.project("r8", "./lr.sh", files={"lr.sh": "#!/bin/sh\necho 0.2\n"})
        second = self.stack.train(path)
        self.stack.run("wait", first, second)
        shown = self.stack.run("code", "checkout", first, cwd=self.stack.root).decode()
        commit = self.stack.experiment(first)["revision"].rsplit("/", 1)[1]
        self.assertEqual(shown, f"Code: {commit[:7]}\nDirectory: r8-{first}\n")
        code = os.path.join(self.stack.root, f"r8-{first}")
        self.assertEqual(subprocess.run([os.path.join(code, "lr.sh")], capture_output=True, check=True).stdout, b"0.1\n")
        self.assertEqual(os.readlink(os.path.join(code, "link")), "lr.sh")
        self.assertTrue(os.path.isdir(os.path.join(code, "empty")))
        self.assertIn("is not an empty directory", self.stack.fails("code", "checkout", second, code))
        other = os.path.join(self.stack.root, "other")
        self.assertEqual(self.stack.run("code", "checkout", "-q", second, other).decode(), f"{other}\n")
        self.assertEqual(subprocess.run(["diff", "-rq", "-x", "riseml.yml", other, path], capture_output=True, check=False).stdout, b"")
        self.assertIn("Could not find experiment", self.stack.fails("code", "checkout", "9999", other + "2"))
        self.assertFalse(os.path.exists(other + "2"))


if __name__ == "__main__":
    unittest.main()
