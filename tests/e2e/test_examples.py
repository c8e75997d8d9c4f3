"""Every project of examples/ is trained from its directory, as its README says."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

from stack import Stack, StackTest

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples")


class Examples(StackTest):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.addClassCleanup(cls.stack.close)
        data = os.path.join(cls.stack.root, "measurements")
        subprocess.run([sys.executable, os.path.join(EXAMPLES, "data-links", "make_data.py"), data], check=True, stdout=subprocess.DEVNULL)
        cls.stack.up("--data", f"measurements={data}")

    def example(self, name):
        """The directory of an example; with containers a copy, which names the image in the installation's registry."""
        path = os.path.join(self.stack.root, "examples", name)
        if not self.stack.podman:
            return os.path.join(EXAMPLES, name)
        return path if os.path.exists(path) else self.copy(name, path)

    def copy(self, name, path=None):
        """A copy of an example, for tests that change it."""
        path = path or os.path.join(self.stack.root, "copies", name)
        shutil.copytree(os.path.join(EXAMPLES, name), path, symlinks=True)
        for config in glob.glob(path + "/riseml*.yml"):
            with open(config, encoding="utf-8") as file:
                text = file.read()
            with open(config, "w", encoding="utf-8") as file:
                file.write(text.replace("image: python:3.11", f"image: {self.stack.image}"))
        return path

    def finish(self, path, *args, code=0):
        """Trains to the end; returns the number and the experiment."""
        number = self.stack.train(path, *args)
        self.stack.run("wait", number, code=code, limit=300)
        return number, self.stack.experiment(number)

    def log(self, number):
        return self.stack.run("logs", "--raw", number).decode()

    def losses(self, log):
        return [float(loss) for loss in re.findall(r"loss[ =](\d+\.\d+)", log)]

    def assert_learns(self, log, least):
        losses = self.losses(log)
        self.assertGreaterEqual(len(losses), least, log)
        self.assertLess(losses[-1], losses[0], log)

    def roles(self, experiment):
        return [job["role"] for job in experiment["jobs"]]

    def kept(self, experiment):
        """Files of the working directory that were kept, sorted."""
        top = os.path.join(experiment["output_path"], "workdir")
        return sorted(os.path.relpath(path, top) for path in glob.glob(top + "/**", recursive=True) if os.path.isfile(path))

    def lines(self, experiment, name):
        with open(os.path.join(experiment["output_path"], name), encoding="utf-8") as file:
            return file.read().splitlines()

    def test_all_are_listed_and_tested(self):
        names = sorted(os.path.basename(os.path.dirname(path)) for path in glob.glob(os.path.join(EXAMPLES, "*/riseml.yml")))
        with open(os.path.join(EXAMPLES, "README.md"), encoding="utf-8") as file:
            self.assertEqual(sorted(re.findall(r"^- `([\w-]+)`: ", file.read(), re.M)), names)
        tests = [name[len("test_"):].replace("_", "-") for name in dir(self) if name.startswith("test_")]
        for name in names:
            self.assertTrue([test for test in tests if test == name or test.startswith(name + "-then-")], f"{name} has no test")

    def test_digits(self):
        number, experiment = self.finish(self.example("digits"))
        self.assertEqual(experiment["result"]["epochs"], 20)
        self.assertGreater(experiment["result"]["accuracy"], 0.9)
        self.assertIn("accuracy: ", self.log(number))

    def test_digits_sweep(self):
        number, _ = self.finish(self.example("digits-sweep"))
        accuracies = [self.stack.experiment(f"{number}.{child}")["result"]["accuracy"] for child in range(1, 7)]
        self.assertGreater(max(accuracies), 0.95)
        self.assertLess(min(accuracies), 0.8)

    def test_census(self):
        self.assertGreater(self.finish(self.example("census"))[1]["result"]["accuracy"], 0.84)

    def test_failing(self):
        number, experiment = self.finish(self.example("failing"), code=1)
        self.assertEqual(experiment["jobs"][-1]["exit_code"], 3)
        self.assertIn("no data in /data/missing", self.log(number))

    def test_checkpoints_then_longer(self):
        path = self.copy("checkpoints")
        number, first = self.finish(path)
        log = self.log(number)
        self.assertTrue(log.startswith("no checkpoint: a new model\n"), log)
        self.assert_learns(log, 10)
        run, = glob.glob(os.path.join(first["output_path"], "workdir/runs/*"))
        self.assertEqual(self.kept(first), ["checkpoints/epoch-0100.npz", "checkpoints/epoch-0200.npz", "checkpoints/last.npz",
                                            "metrics.csv", f"runs/{os.path.basename(run)}/arguments.json"])
        metrics = self.lines(first, "workdir/metrics.csv")
        self.assertEqual((metrics[0], len(metrics)), ("epoch,loss,accuracy", 11))
        self.assertEqual(first["result"], {"accuracy": float(metrics[-1].split(",")[2])})
        shutil.copytree(os.path.join(first["output_path"], "workdir/checkpoints"), os.path.join(path, "checkpoints"))
        number, second = self.finish(path, "-f", "riseml-longer.yml")
        self.assertEqual(self.roles(second), ["train"], "checkpoints are no part of the environment")
        log = self.log(number)
        self.assertTrue(log.startswith("going on from checkpoints/last.npz after epoch 200\n"), log)
        rows = [line.split(",") for line in self.lines(second, "workdir/metrics.csv")[1:]]
        self.assertEqual([int(row[0]) for row in rows], list(range(220, 401, 20)))
        self.assertLess(float(rows[0][1]), float(metrics[-1].split(",")[1]), "what was learnt is not lost")
        self.assertIn("checkpoints/epoch-0400.npz", self.kept(second))
        self.assertGreaterEqual(second["result"]["accuracy"], first["result"]["accuracy"])

    def test_config_tree(self):
        number, experiment = self.finish(self.example("config-tree"))
        children = [self.stack.experiment(f"{number}.{child}") for child in range(1, 5)]
        self.assertIn("Could not find", self.stack.fails("status", f"{number}.5"))
        self.assertEqual(self.roles(experiment), ["build"])
        seen = {}
        for index, child in enumerate(children, 1):
            config = "\n".join(self.lines(child, "workdir/outputs/config.yaml"))
            self.assertIn("lr: 0.1\n", config)  # the override, not the 0.05 of configs/config.yaml
            model, data = (re.search(rf"{group}:\n  name: (\w+)", config).group(1) for group in ("model", "data"))
            seen[model, data] = child["result"]["accuracy"]
            self.assertIn("epoch  300", self.log(f"{number}.{index}"))
        self.assertEqual(sorted(seen), [("linear", "moons"), ("linear", "rings"), ("mlp", "moons"), ("mlp", "rings")])
        self.assertGreater(seen["mlp", "rings"], 0.95)
        self.assertLess(seen["linear", "rings"], 0.7)

    def test_package_then_edited(self):
        path = self.copy("package")
        number, first = self.finish(path)
        self.assertEqual(self.roles(first), ["build", "train"])
        self.assert_learns(self.log(number), 6)
        self.assertGreater(first["result"]["accuracy"], 0.95)
        self.assertTrue(os.path.exists(os.path.join(first["output_path"], "model.npz")))
        self.assertNotIn("~/", self.log(f"{number}.build"), "no step has left anything in HOME")
        cli = os.path.join(path, "src/ringnet/cli.py")
        with open(cli, encoding="utf-8") as file:
            text = file.read()
        with open(cli, "w", encoding="utf-8") as file:
            file.write(text.replace('"accuracy: ', '"after the edit: '))
        number, second = self.finish(path)
        self.assertEqual(self.roles(second), ["train"])
        self.assertIn("after the edit: ", self.log(number))

    def test_uv_workspace(self):
        number, experiment = self.finish(self.example("uv-workspace"))
        self.assertIn("uv.lock", self.log(f"{number}.build"))
        self.assertIn("synth==0.1.0", self.log(f"{number}.build"))
        self.assert_learns(self.log(number), 10)
        self.assertGreater(experiment["result"]["accuracy"], 0.8)
        self.assertEqual(self.roles(self.finish(self.example("uv-workspace"))[1]), ["train"])

    def test_data_links(self):
        path = self.copy("data-links")
        process = self.stack.popen("train", cwd=path)
        out = b"".join(process.communicate(timeout=60)).decode()
        self.assertIn("to data that jobs have when `riseml system info` lists it: data -> /data/measurements\n", out)
        number = re.search(r"Started experiment (\d+)", out).group(1)
        self.stack.run("wait", number)
        log = self.log(number)
        self.assertTrue(log.startswith("600 measurements to learn from, 600 to test with; {'hidden': 12,"), log)
        self.assert_learns(log, 10)
        wide = self.stack.experiment(number)["result"]["accuracy"]
        self.assertGreater(wide, 0.88)
        os.remove(os.path.join(path, "config.json"))
        os.symlink("configs/narrow.json", os.path.join(path, "config.json"))
        number, experiment = self.finish(path)
        self.assertIn("{'hidden': 3,", self.log(number))
        self.assertLess(experiment["result"]["accuracy"], wide)

    def test_graceful_stop(self):
        number = self.stack.train(self.example("graceful-stop"))
        process = self.stack.popen("logs", "--raw", number)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        self.assertTrue(process.stdout.readline().startswith(b"step   20  loss "))
        checkpoint = os.path.join(self.stack.experiment(number)["output_path"], "checkpoint.json")
        self.assertFalse(os.path.exists(checkpoint))
        begin = time.time()
        self.stack.run("kill", number)
        self.stack.run("wait", number, code=3)
        self.assertLess(time.time() - begin, 20, "the loader was still there; the trainer did not wait for it")
        with open(checkpoint, encoding="utf-8") as file:
            saved = json.load(file)
        self.assertGreaterEqual(saved["told_to_stop"], begin)
        self.assertGreaterEqual(saved["saved"], saved["told_to_stop"])
        self.assertEqual(saved["loaders"], 2)
        self.assertGreaterEqual(saved["step"], 20)
        self.assertLess(saved["step"], 1000)
        log = self.log(number)
        self.assertRegex(log, rf"told to stop: step {saved['step']} is finished\naccuracy: .*, measured with 2 loader processes\n"
                              rf"checkpoint saved: {re.escape(checkpoint)}\n$")
        experiment = self.stack.experiment(number)
        self.assertEqual(experiment["state"], "KILLED")
        self.assertEqual(experiment["result"]["steps"], saved["step"])


if __name__ == "__main__":
    unittest.main()
