"""Environments: what decides them, what builds leave, who shares them, how they are listed and removed."""

import glob
import os
import re
import shutil
import signal
import subprocess
import unittest

from podman import processes_only
from stack import StackTest, eventually, processes_with

PACKAGE = """[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"
[project]
name = "mypkg"
version = "1"
"""


class Environments(StackTest):
    def write(self, path, name, text):
        full = os.path.join(path, name)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)

    def finish(self, path, *args, code=0):
        """Trains to the end; returns the experiment."""
        number = self.stack.train(path, *args)
        self.stack.run("wait", number, code=code, limit=300)
        return self.stack.experiment(number)

    def number(self, experiment):
        return experiment["name"].rsplit("/", 1)[1]

    def log(self, experiment, job="train"):
        return self.stack.run("logs", "--raw", f"{self.number(experiment)}.{job}").decode()

    def roles(self, experiment):
        return [job["role"] for job in experiment["jobs"]]

    def key(self, experiment):
        return experiment["environment"]["key"]

    def local_package(self, path, name, version):
        """A package whose installation needs no index: a wheel made by hand."""
        import zipfile
        wheel = os.path.join(path, f"{name}-{version}-py3-none-any.whl")
        with zipfile.ZipFile(wheel, "w") as file:
            file.writestr(f"{name}.py", f"__version__ = '{version}'\n")
            file.writestr(f"{name}-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            file.writestr(f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            file.writestr(f"{name}-{version}.dist-info/RECORD", "")
        return os.path.basename(wheel)

    def test_case_01_what_a_requirements_file_names_is_part_of_the_key(self):
        path = self.stack.project("c01", "python -c 'import onelib; print(onelib.__version__)'", install="pip install -r requirements.txt",
                                  files={"requirements.txt": "-r requirements/base.txt\n"})
        self.write(path, "requirements/base.txt", "./" + self.local_package(path, "onelib", "1.0") + "\n")
        first = self.finish(path)
        self.assertEqual(self.log(first), "1.0\n")
        build = self.log(first, "build")
        self.assertIn("is decided by:", build.split("\n")[1])
        for line in ("  step: pip install -r requirements.txt", "  file: requirements/base.txt", "  base image: " if self.stack.podman else "  Python: cpython"):
            self.assertIn(line, build)
        self.write(path, "train.py", "print()")
        self.assertEqual(self.roles(self.finish(path)), ["train"], "an edit of code builds nothing")
        self.write(path, "requirements/base.txt", "./" + self.local_package(path, "onelib", "2.0") + "\n")
        second = self.finish(path)
        self.assertEqual(self.log(second), "2.0\n")
        self.assertNotEqual(self.key(first), self.key(second))
        since = f"environment {self.key(first)[:8]} was built" if self.stack.podman else rf"{self.number(first)}\.build"
        self.assertRegex(self.log(second, "build"), rf"\nIt is built, as .*requirements/base\.txt has changed.* since {since}\n")

    def test_case_01_variant_the_users_own_code_is_never_stale(self):
        path = self.stack.project("stale", "cd app && python main.py", install="pip install --no-build-isolation -r reqs.txt",
                                  files={"reqs.txt": ".\n"})
        self.write(path, "setup.py", 'from setuptools import setup\nsetup(name="pkgx", version="1", packages=["pkgx"])\n')
        self.write(path, "app/main.py", "import pkgx; print(pkgx.V)\n")
        for version in ("old", "new"):
            self.write(path, "pkgx/__init__.py", f"V = '{version}'\n")
            self.assertEqual(self.log(self.finish(path)), version + "\n")

    def test_case_01_a_script_counts_with_everything_and_says_so(self):
        path = self.stack.project("script", "cat third/made", install="bash setup.sh", files={"conf.txt": "one"})
        self.write(path, "setup.sh", "mkdir -p third; cp conf.txt third/made\n")
        first = self.finish(path)
        self.assertEqual(self.log(first), "one")
        self.assertIn("all files of the project but riseml.yml, as `bash setup.sh` may read any file", self.log(first, "build"))
        self.write(path, "conf.txt", "two")
        self.assertEqual(self.log(self.finish(path)), "two")

    def test_case_02_what_steps_leave_in_project_and_home_lies_beneath_the_code(self):
        # An image has only those files of the project that the steps read.
        changes = [] if self.stack.podman else ["echo changed > own.txt; rm gone.txt; chmod +x script.sh"]
        path = self.stack.project(
            "c02", ["cat third_party/models/README ~/nltk_data/punkt own.txt", "echo mine > third_party/models/README", "ls -a ~ third_party"],
            files={"own.txt": "the revision's\n", "gone.txt": "", "script.sh": "", "same.txt": ""},
            install=["mkdir -p third_party/models && echo cloned > third_party/models/README && ln -s models third_party/link",
                     "mkdir -p ~/nltk_data && echo punkt > ~/nltk_data/punkt && mkdir -p ~/.cache/x && echo x > ~/.cache/x/x",
                     *changes])
        build = self.log(self.finish(path), "build")
        told = [] if self.stack.podman else ["==> NOTE: install steps changed files of the project (gone.txt, own.txt, script.sh)"]
        for note in told:
            self.assertIn(note[len("==> "):], build)
        for _ in range(2):  # the second job sees nothing of what the first has written
            log = self.log(self.finish(path)).splitlines()
            for note in told:
                self.assertTrue(log.pop(0).startswith(note), "also where nothing is built")
            self.assertEqual(log[:3], ["cloned", "punkt", "the revision's"])
        self.write(path, "third_party/models/README", "from the revision\n")
        log = self.log(self.finish(path)).splitlines()[len(told):]
        self.assertEqual(log[:2], ["from the revision", "punkt"], "code on top")

    @unittest.skipUnless(shutil.which("make"), "needs make")
    def test_case_02_what_a_makefile_built_is_up_to_date(self):
        path = self.stack.project("c02make", ["make", "cat src.txt > made-in-job && make again"], install="make",
                                  files={"src.txt": "a\n", "Makefile": "built: src.txt Makefile\n\tcp src.txt built && echo builds\n"
                                                                        "again: made-in-job\n\techo again\n"})
        for _ in range(2):
            self.assertNotIn("builds", self.log(self.finish(path)))

    @processes_only("the base image of tests has no compiler")
    @unittest.skipUnless(shutil.which("gcc") and glob.glob("/usr/include/python3*/Python.h"), "needs gcc and python3-dev")
    def test_case_02_extensions_built_in_place_are_importable(self):
        path = self.stack.project("c02ext", "python -c 'import fast; print(\"fast\")'", install="python setup.py build_ext --inplace")
        self.write(path, "setup.py", 'from setuptools import setup, Extension\nsetup(name="fast", version="1", ext_modules=[Extension("fast", ["fast.c"])])\n')
        self.write(path, "fast.c", "#include <Python.h>\nstatic struct PyModuleDef m = {PyModuleDef_HEAD_INIT, \"fast\", 0, -1, 0};\n"
                                   "PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&m); }\n")
        self.assertEqual(self.log(self.finish(path)), "fast\n")

    def test_case_13_tools_install_into_the_environment_of_the_job(self):
        path = self.stack.project("c13", ["python -c 'import attrs; print(attrs.__name__)'", "uv run python -c 'import attrs; print(2)'"],
                                  install=["pip install uv", "uv sync"])
        self.write(path, "pyproject.toml", '[project]\nname = "c13"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["attrs"]\n')
        self.assertEqual(self.log(self.finish(path)).split(), ["attrs", "2"])

    def test_case_13_uv_venv_is_the_environment_of_the_job(self):
        path = self.stack.project("c13venv", ["python -c 'import attrs; print(1)'", ".venv/bin/python -c 'import attrs; print(2)'"],
                                  install=["pip install uv", "uv venv --python 3.11 && . .venv/bin/activate && uv pip install -r requirements.txt"],
                                  files={"requirements.txt": "attrs\n", "pyproject.toml": '[project]\nname = "x"\nversion = "1"\n'})
        self.assertEqual(self.log(self.finish(path)).split(), ["1", "2"])

    def test_case_13_a_venv_of_python_is_the_environment_of_the_job(self):
        path = self.stack.project("c13pyvenv", ["python -c 'import attrs; print(1)'", "env/bin/python -c 'import attrs; print(2)'"],
                                  install=["python3 -m venv --prompt x env", "env/bin/pip install -r requirements.txt"],
                                  files={"requirements.txt": "attrs\n"})
        number = self.finish(path)
        self.assertEqual(self.log(number).split(), ["1", "2"])
        if not self.stack.podman:  # where it is made, as anywhere else
            self.assertIn("env is the environment of the job; no other virtual environment is made\n", self.log(number, "build"))
        self.assertIn("file: requirements.txt", self.log(number, "build"))

    @processes_only("whether there is a conda is up to the image")
    def test_case_13_conda_says_what_to_write(self):
        if shutil.which("conda", path="/usr/local/bin:/usr/bin:/bin"):
            self.skipTest("conda is installed here")
        path = self.stack.project("conda", "true", install="conda env update -f environment.yml")
        failed = self.finish(path, code=1)
        self.assertIn("`conda` is not installed on this machine: write `pip install", self.log(failed, "build"))

    def test_case_22_editable_install_is_built_once_and_rebuilt_on_request(self):
        path = self.stack.project("c22", "python -c 'import mypkg; print(mypkg.V)'", install="pip install -e .")
        self.write(path, "pyproject.toml", PACKAGE)
        keys = set()
        for i in range(3):
            self.write(path, "src/mypkg/__init__.py", f"V = {i}\n")
            experiment = self.finish(path)
            self.assertEqual(self.log(experiment), f"{i}\n")
            self.assertEqual(self.roles(experiment), ["build", "train"] if i == 0 else ["train"])
            keys.add(self.key(experiment))
        self.assertEqual(len(keys), 1)
        first = self.stack.run("status", self.number(experiment)).decode()
        self.assertRegex(first, r"Environment: [0-9a-f]{8}, built by \d+\.build\nBuilt because: no environment of this project is known\n")
        self.assertRegex(experiment["environment"]["digest"], "^(sha256:)?[0-9a-f]{64}$")
        rebuilt = self.finish(path, "--rebuild")
        self.assertEqual(self.roles(rebuilt), ["build", "train"])
        self.assertNotIn(self.key(rebuilt), keys)
        after = self.finish(path)
        self.assertEqual((self.roles(after), self.key(after)), (["train"], self.key(rebuilt)))

    def test_case_22_environments_are_listed_and_removed_but_not_while_used(self):
        path = self.stack.project("c22rm", "echo up; while [ ! -e $OUTPUT_DIR/go ]; do sleep 0.1; done", install="echo made > $VIRTUAL_ENV/made")
        number = self.stack.train(path)
        self.stack.wait_state(number, "RUNNING", limit=120)
        experiment = self.stack.experiment(number)
        key = self.key(experiment)
        listed = {one["key"]: one for one in self.stack.json("environment", "list")["environments"]}
        self.assertEqual(listed[key]["used_by"], [experiment["name"] + "/jobs/train"])
        self.assertGreater(int(listed[key]["bytes"]), 1_000_000)
        self.assertIn(f"is used by {number}.train", self.stack.fails("env", "rm", key[:8]))
        with open(os.path.join(experiment["output_path"], "go"), "w", encoding="utf-8"):
            pass
        self.stack.run("wait", number)
        self.assertIn(f"{number}.build", self.stack.run("env", "list").decode())
        self.assertIn(f"removed environment {key[:8]}", self.stack.run("environment", "rm", key[:8]).decode())
        self.assertFalse(os.path.exists(os.path.join(self.stack.dir, "environments", key)))
        self.assertIn("not found", self.stack.fails("env", "rm", key[:8]))
        again = self.stack.train(path)
        eventually(lambda: self.stack.state(again) == "RUNNING", "built again", 120)
        with open(os.path.join(self.stack.experiment(again)["output_path"], "go"), "w", encoding="utf-8"):
            pass
        self.stack.run("wait", again)

    def test_case_23_a_broken_step_fails_for_all_who_wait_and_leaves_nothing(self):
        mark = f"1023.{os.getpid()}"  # names the process of the step
        before = set(os.listdir(os.path.join(self.stack.dir, "environments")))
        path = self.stack.project("c23", "true", install=[f"sleep {mark} || true", "exit 9"])
        numbers = [self.stack.train(path) for _ in range(4)]
        eventually(lambda: self.stack.state(numbers[0]) == "BUILDING", "a build runs")
        eventually(lambda: all("ENVIRONMENT" in str(self.stack.experiment(n)["jobs"][0].get("wait_reason")) for n in numbers[1:]),
                   "the others wait")
        for sleeping in eventually(lambda: processes_with("sleep", mark), "the first step runs"):
            os.kill(sleeping, signal.SIGTERM)
        for number in numbers:
            self.stack.run("wait", number, code=1)
        builds = [self.stack.experiment(number)["jobs"][0] for number in numbers]
        self.assertEqual([build["attempt_count"] if "attempt_count" in build else 0 for build in builds], [1, 0, 0, 0])
        for build in builds[1:]:
            self.assertIn("return code: 9", build["message"])
            self.assertIn(f"(in {numbers[0]}.build", build["message"])
        eventually(lambda: {name for name in os.listdir(os.path.join(self.stack.dir, "environments")) if not name.startswith(".")}
                   <= before, "what it had installed is removed")

    def wheel_with_program(self, path):
        """A package with the program `onetool`, whose first line names the environment."""
        import zipfile
        name = self.local_package(path, "onelib", "1.0")
        with zipfile.ZipFile(os.path.join(path, name), "a") as file:
            file.writestr("onetool.py", "import sys\ndef main():\n    print('tool of', sys.prefix)\n")
            file.writestr("onelib-1.0.dist-info/entry_points.txt", "[console_scripts]\nonetool = onetool:main\n")
        return name

    @processes_only("the steps of an image are its layers, which buildah keeps")
    def test_steps_before_a_failed_or_changed_one_do_not_run_again(self):
        path = self.stack.project("steps", ["onetool", "cat ~/count sub/made.txt"])
        self.write(path, "sub/own.txt", "")
        one = f"echo ran one; echo one >> $HOME/count; pip install --no-index ./{self.wheel_with_program(path)}"
        # Longer than it takes to copy the environment, so that what the steps made is kept.
        two = "echo ran two; export X=5; cd sub; echo made > made.txt; sleep 10"
        three = 'echo "X=$X in $(basename $PWD)"; cat made.txt $HOME/count; onetool; echo $RISEML_JOB'

        def steps(*install):
            self.stack.project("steps", ["onetool", "cat ~/count sub/made.txt"], install=list(install))

        steps(one, two, "echo half > $VIRTUAL_ENV/half; exit 9")
        failed = self.finish(path, code=1)
        log = self.log(failed, "build")
        self.assertIn("==> Steps 1-4 of 7 are kept for later builds (", log)
        self.assertIn("==> Step 5/7 failed with exit code 9", log)
        self.assertEqual(failed["environment"]["key"], "", "there is none")
        failed_key = re.search(r"^Environment ([0-9a-f]{8,})", log, re.MULTILINE)[1]
        environments = os.path.join(self.stack.dir, "environments")
        eventually(lambda: not glob.glob(os.path.join(environments, "*", "**", failed_key + "*"), recursive=True), "nothing is left of the failed build")

        steps(one, two, three)
        mended = self.finish(path)
        prefix = glob.glob(os.path.join(environments, "*", "work", self.key(mended)))[0]
        log = self.log(mended, "build")
        self.assertTrue(log.startswith(f"==> Steps 1-4 of 7 are reused: built by {self.number(failed)}.build\nEnvironment "), log)
        self.assertIn("  step: echo ran one", log)
        self.assertNotIn("\nran ", log)
        self.assertIn(f"==> Step 5/7: {three}\nX=5 in sub\nmade\none\ntool of {prefix}\n{self.number(mended)}.build\n", log)
        with open(os.path.join(prefix, "bin", "onetool"), encoding="utf-8") as script:
            self.assertIn(f"{prefix}/bin/python", script.read())
        self.assertEqual(self.log(mended), f"tool of {prefix}\none\nmade\n")
        self.assertFalse(os.path.exists(os.path.join(prefix, "half")))
        old = subprocess.run(["grep", "-rl", "/" + failed_key, prefix], stdout=subprocess.PIPE, check=False)
        self.assertEqual(old.stdout, b"", "no file names the environment of the failed build")

        keys = {one["key"] for one in self.stack.json("environment", "list")["environments"]}
        self.assertEqual(keys & {name for place in glob.glob(os.path.join(environments, "*", "steps")) for name in os.listdir(place)},
                         set(), "what is kept of steps is no environment")

        rebuilt = self.finish(path, "--rebuild")
        log = self.log(rebuilt, "build")
        self.assertIn("\nran one\n", log)
        self.assertIn("==> Steps 1-4 of 7 are kept for later builds (", log)
        steps(one, two, "echo changed")
        again = self.log(self.finish(path), "build")
        self.assertTrue(again.startswith(f"==> Steps 1-4 of 7 are reused: built by {self.number(rebuilt)}.build\n"), again)

    @processes_only("the interpreter is that of the image")
    def test_item_6_the_interpreter_an_image_asks_for(self):
        path = self.stack.project("python", "python -c 'print 1'", image="python:2.5")
        failed = self.finish(path, code=1)
        self.assertIn("image python:2.5 asks for Python 2.5, which this machine does not have: 3.", failed["jobs"][0]["message"])
        other = self.finish(self.stack.project("python-other", "exit 4", image="python:2.5"), code=1)
        self.assertEqual(other["jobs"][0]["message"], "Command `exit 4` return code: 4")
        self.assertTrue(self.log(failed).startswith("==> NOTE: image python:2.5 asks for Python 2.5"), self.log(failed))
        path = self.stack.project("python2", "python -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'", image="python:2.5",
                                  install="true")
        self.assertIn("NOTE: image python:2.5 asks for Python 2.5", self.log(self.finish(path), "build"))


if __name__ == "__main__":
    unittest.main()
