"""How the commands of a job run: the shell, streams, signals, what is kept, what a job finds in its variables."""

import os
import time
import unittest

from podman import processes_only
from stack import StackTest, eventually


class Commands(StackTest):
    def finish(self, path, code=0, **kwargs):
        """Trains to the end; returns the number and the log."""
        number = self.stack.train(path, **kwargs)
        self.stack.run("wait", number, code=code, limit=300)
        return number, self.stack.run("logs", "--raw", number).decode()

    def message(self, number):
        return self.stack.experiment(number)["jobs"][-1]["message"]

    def test_case_03_a_failing_line_ends_the_block(self):
        path = self.stack.project("c03", 'python -c "import package_that_is_missing"\necho "saving model"\n')
        number, log = self.finish(path, code=1)
        self.assertNotIn("saving", log)
        self.assertIn("return code: 1 (line 1", self.message(number))
        path = self.stack.project(
            "c03", 'python -c "import sys; sys.exit(3)" 2>&1 | tee $OUTPUT_DIR/train.log\necho "saving model"\n')
        number, log = self.finish(path, code=1)
        self.assertNotIn("saving", log)
        self.assertIn("return code: 3", self.message(number))

    def test_case_06_bash_and_one_shell_for_all_items(self):
        path = self.stack.project("c06", ["set -euo pipefail\nsource /etc/os-release\nfiles=(a b c); echo \"${files[1]} on $ID\"\n"])
        self.assertRegex(self.finish(path)[1], r"^b on \w+\n$")
        path = self.stack.project("c06", ["export SEED=42", "mkdir -p src && cd src", 'echo "seed=$SEED in $(pwd)"'])
        self.assertRegex(self.finish(path)[1], r"^seed=42 in /\S*code/src\n$")

    def test_case_06_exit_0_ends_its_item_only(self):
        path = self.stack.project("c06exit", ["export A=1; exit 0; echo never", "echo second $A", "exec python -c 'print(3)'", "echo $A"])
        self.assertEqual(self.finish(path)[1], "second 1\n3\n1\n")

    def test_case_07_files_of_the_working_directory_are_kept(self):
        path = self.stack.project(
            "c07", "mkdir -p runs/exp1 __pycache__ && echo weights > runs/exp1/best.pt; touch __pycache__/x; ln -s exp1 runs/latest; exit 3",
            files={"old.py": "x = 1\n"})
        number, log = self.finish(path, code=1)
        output = self.stack.experiment(number)["output_path"]
        with open(os.path.join(output, "workdir/runs/exp1/best.pt"), encoding="ascii") as file:
            self.assertEqual(file.read(), "weights\n")
        self.assertTrue(os.path.islink(os.path.join(output, "workdir/runs/latest")))
        self.assertEqual(sorted(os.listdir(os.path.join(output, "workdir"))), ["runs"])
        self.assertTrue(log.endswith("==> Kept 2 files (8 bytes) that the job left in its working directory: workdir/ in its output "
                                     "(riseml status shows the path)\n"), log)

    def test_case_07_what_a_killed_job_has_written_is_kept(self):
        path = self.stack.project("c07k", "echo weights > best.pt; echo ready; sleep 1000")
        number = self.stack.train(path)
        self.wait_for_output(number, "ready")
        self.stack.run("kill", number)
        self.stack.run("wait", number, code=3)
        self.assertTrue(os.path.exists(os.path.join(self.stack.experiment(number)["output_path"], "workdir/best.pt")))

    def test_case_10_a_link_out_of_the_data_directory_is_told(self):
        outside = os.path.join(self.stack.root, "bigdisk")
        os.makedirs(outside, exist_ok=True)
        link = os.path.join(self.stack.dir, "data", "mnist")
        os.symlink(outside, link)
        self.addCleanup(os.remove, link)
        log = self.finish(self.stack.project("c10", "true"))[1]
        self.assertIn("==> /data/mnist is a link to", log)
        self.assertIn(f"riseml up --data mnist={outside}", log)

    def test_case_11_the_program_in_front_is_told_first(self):
        script = (
            "import multiprocessing as mp, signal, time\n"
            "def worker(q):\n    while True: q.put(1); time.sleep(0.05)\n"
            "def main():\n    q = mp.Queue(5)\n"
            "    for _ in range(2): mp.Process(target=worker, args=(q,), daemon=True).start()\n"
            "    stop = []\n    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))\n    print('training', flush=True)\n"
            "    while not stop: q.get()\n    q.get(); print('checkpoint saved', flush=True)\nmain()\n")
        path = self.stack.project("c11", "python train.py | tee $OUTPUT_DIR/log\necho never", files={"train.py": script})
        number = self.stack.train(path)
        self.wait_for_output(number, "training")
        begin = time.monotonic()
        self.stack.run("kill", number)
        self.stack.run("wait", number, code=3)
        self.assertLess(time.monotonic() - begin, 10)
        self.assertEqual(self.stack.run("logs", "--raw", number).decode(), "training\ncheckpoint saved\n")

    def test_case_16_a_kill_reaches_what_is_being_forked(self):
        path = self.stack.project("c16", "i=0; while [ $i -lt 3000 ]; do sleep 300 & i=$((i+1)); done; wait")
        number = self.stack.train(path)
        self.stack.wait_state(number, "RUNNING")
        time.sleep(0.5)
        begin = time.monotonic()
        self.stack.run("kill", number)
        self.stack.run("wait", number, code=3)
        self.assertLess(time.monotonic() - begin, 15)

    def test_case_18_the_package_is_found_whatever_pythonpath_says(self):
        path = self.stack.project(
            "c18", ["PYTHONPATH=. python report.py", "python -I -c 'import riseml; print(riseml.__name__)'",
                    "env -i /usr/bin/python3 -c 'print(1)'"],
            files={"report.py": "import riseml\nriseml.report_result(accuracy=0.9)\n"})
        number, log = self.finish(path)
        self.assertEqual(log, "riseml\n1\n")
        self.assertEqual(self.stack.experiment(number)["result"], {"accuracy": 0.9})

    def test_results_are_reported_without_python(self):
        script = (
            "#!/bin/bash\nset -e\nexport LD_LIBRARY_PATH=/nowhere\n"
            'riseml-report accuracy=0.93 note="good run" converged=true epochs=3\n'
            "riseml-report accuracy=0.95\nriseml-report --text commit=0012\n"
            "riseml-report --help | head -1\n"
            "riseml-report broken || echo code $?\n"
            "RISEML_SOCKET=/nowhere/socket riseml-report a=1 || echo code $?\n")
        for name, install in (("report", None), ("report-env", "true")):
            path = self.stack.project(name, "./train.sh", files={"train.sh": script}, **({"install": install} if install else {}))
            os.chmod(os.path.join(path, "train.sh"), 0o755)
            number, log = self.finish(path)
            self.assertEqual(log.split("\n"), [
                "Reports results of the experiment that this job belongs to",
                "ERROR: results not reported: 'broken' is not NAME=VALUE; write it without blanks, e.g. accuracy=0.93", "code 1",
                "ERROR: results not reported: the socket of the job is lost: cannot connect to /nowhere/socket: No such file or directory; "
                "try again while the commands of the job run, and leave RISEML_SOCKET as it is", "code 1", ""])
            self.assertEqual(self.stack.experiment(number)["result"],
                             {"accuracy": 0.95, "note": "good run", "converged": True, "epochs": 3, "commit": "0012"})
            self.assertIn("accuracy=0.95", self.stack.run("status", "-a", "-l").decode())

    def test_reports_at_once_wait_for_each_other(self):
        number, log = self.finish(self.stack.project(
            "many", "for i in $(seq 150); do riseml-report r$i=$i & done; wait; echo reported"))
        self.assertEqual(log, "reported\n")
        self.assertEqual(self.stack.experiment(number)["result"], {f"r{i}": i for i in range(1, 151)})

    def test_install_steps_report_no_results(self):
        number, _ = self.finish(self.stack.project("built", "true", install="riseml-report built=1 || echo refused: $?"))
        self.assertEqual(self.stack.experiment(number)["result"], {})
        log = self.stack.run("logs", "--raw", f"{number}.build").decode()
        self.assertIn("install steps have no results, as they do not run for every experiment", log)
        self.assertIn("refused: 1", log)

    @processes_only("a container is the job's own, which may install into it")
    def test_case_19_installing_in_a_run_command_is_told_where_to_write_it(self):
        number, _ = self.finish(self.stack.project("c19", ["pip install six", "true"]), code=1)
        self.assertIn("write `pip install six` under `install:`", self.message(number))

    def test_smaller_faults_scripts_that_cannot_run(self):
        path = self.stack.project("scripts", "./train.py", files={"train.py": "print(1)\n"})
        self.assertIn("chmod +x ./train.py", self.message(self.finish(path, code=1)[0]))
        path = self.stack.project("missing", "no-such-program --x")
        self.assertIn("`no-such-program`", self.message(self.finish(path, code=1)[0]))

    def test_case_21_all_names_of_the_streams_are_in_order(self):
        path = self.stack.project(
            "c21", ['for i in $(seq 1 200); do echo "step $i"; echo "step $i warning" > /dev/stderr; echo "step $i" > /dev/fd/2; '
                    'echo "step $i" | cat > /proc/self/fd/1; done'])
        expected = "".join(f"step {i}\nstep {i} warning\nstep {i}\nstep {i}\n" for i in range(1, 201))
        self.assertEqual(self.finish(path)[1], expected)

    def test_case_25_ports_are_distinct(self):
        path = self.stack.project(
            "c25", ["echo $MASTER_ADDR $MASTER_PORT $PORT > $OUTPUT_DIR/ports", "sleep 2"], parameters={"lr": [0.1, 0.2]}, concurrency=2)
        number = self.stack.train(path)
        self.stack.run("wait", number)
        ports = []
        for child in (1, 2):
            with open(os.path.join(self.stack.experiment(f"{number}.{child}")["output_path"], "ports"), encoding="ascii") as file:
                address, *numbers = file.read().split()
                self.assertEqual(address, "127.0.0.1")
                ports += numbers
        self.assertEqual(len(set(ports)), 4, ports)

    def test_case_26_a_users_jobs_share_a_cache(self):
        path = self.stack.project(
            "c26", "c=${XDG_CACHE_HOME:-$HOME/.cache}/huggingface\n"
            "if [ -e $c/model ]; then echo cached; else echo downloading; mkdir -p $c; echo x > $c/model; fi\n")
        self.assertEqual(self.finish(path)[1], "downloading\n")
        self.assertEqual(self.finish(path)[1], "cached\n")

    def test_case_29_a_job_sees_its_share(self):
        path = self.stack.project(
            "c29", ["lscpu | grep '^CPU(s)' > /dev/null", "nproc", 'echo $OMP_NUM_THREADS $MKL_NUM_THREADS $OPENBLAS_NUM_THREADS'],
            resources={"cpus": 0.5, "mem": 64, "gpus": 0})
        self.assertEqual(self.finish(path)[1], "1\n1 1 1\n")

    def test_repository_5_a_job_knows_its_names(self):
        path = self.stack.project("r5", "echo $RISEML_EXPERIMENT $RISEML_SET $RISEML_USER $RISEML_PROJECT > $OUTPUT_DIR/names",
                                  parameters={"worker": [1]})
        number = self.stack.train(path)
        self.stack.run("wait", number)
        with open(os.path.join(self.stack.experiment(f"{number}.1")["output_path"], "names"), encoding="ascii") as file:
            self.assertEqual(file.read(), f"{number}.1 {number} admin r5\n")

    def test_repository_6_paths_are_the_same_inside_and_outside(self):
        path = self.stack.project(
            "r6", ["echo w > $OUTPUT_DIR/model.pt; echo $OUTPUT_DIR/model.pt > /output/best.txt", "ls /data $RISEML_DATA_DIR > /dev/null"])
        number, _ = self.finish(path)
        output = self.stack.experiment(number)["output_path"]
        with open(os.path.join(output, "best.txt"), encoding="ascii") as file:
            self.assertEqual(file.read(), f"{output}/model.pt\n")

    @processes_only("the steps of an image write into a layer, which links cannot lead into")
    def test_repository_10_uv_and_pip_can_link_from_the_cache(self):
        path = self.stack.project(
            "r10", "true", install=['touch $UV_CACHE_DIR-probe && ln $UV_CACHE_DIR-probe $VIRTUAL_ENV/probe'])
        self.finish(path)

    def wait_for_output(self, number, text):
        """Waits until the job has printed a text."""
        def printed():
            process = self.stack.popen("logs", "--raw", number)
            try:
                return text.encode() in process.stdout.readline()
            finally:
                process.kill()
                process.communicate()
        eventually(printed, f"{number} prints {text}")


if __name__ == "__main__":
    unittest.main()
