"""Says as JSON what a job can reach: files with secrets, limits, mounts, name spaces."""

import glob
import json
import os
import resource
import subprocess


def text_of(path):
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20).decode(errors="replace")
    except OSError:
        return ""


def writable(directory):
    try:
        with open(os.path.join(directory, "x"), "w", encoding="ascii"):
            return True
    except OSError:
        return False


def size_of(path):
    found = os.statvfs(path)
    return found.f_blocks * found.f_frsize


def user_namespace():
    return subprocess.run(["unshare", "--user", "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


files = {}
for pattern in ("/run/riseml/**", "/run/*", "/proc/[0-9]*/environ", "/proc/[0-9]*/cmdline", "/proc/[0-9]*/fd/*", "/code/*"):
    for path in glob.glob(pattern, recursive=True):
        if os.path.isfile(path) and "/proc/self" not in path:
            files[path] = text_of(path)
print(json.dumps({
    "files": files,
    "variables": dict(os.environ),
    "root_writable": writable("/"),
    "dev_writable": writable("/dev"),
    "root_bytes": size_of("/"),
    "dev_bytes": size_of("/dev"),
    "shm_bytes": size_of("/dev/shm"),
    "user_namespace": user_namespace(),
    "seccomp": next((line.split()[1] for line in text_of("/proc/self/status").split("\n") if line.startswith("Seccomp:")), ""),
    "processes": resource.getrlimit(resource.RLIMIT_NPROC)[0],
    "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
    "installation": [path for path in glob.glob(os.environ["OUTPUT_DIR"].split("/output/")[0] + "/*")
                     if not path.endswith(("/output", "/environments", "/data"))],
}))
