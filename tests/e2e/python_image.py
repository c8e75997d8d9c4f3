"""A base image with Python, made of the packages of this machine: tests need no registry of the internet."""

import os
import re
import subprocess
import tarfile

PACKAGES = ("bash", "coreutils", "ca-certificates", "dash", "findutils", "python3", "python3-pip", "libstdc++6", "libgomp1", "sed", "grep",
            "util-linux", "make", "python3-venv")


def dependencies(packages):
    """Names of the installed packages that these need, with their own."""
    found, waiting = set(), list(packages)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        asked = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status};${Pre-Depends},${Depends}", name], capture_output=True, text=True, check=False)
        status, _, needed = asked.stdout.partition(";")
        if status != "installed":
            continue  # a virtual package, or another alternative is installed
        found.add(name)
        for group in needed.split(","):
            waiting += [re.split(r"[ :(]", one.strip())[0] for one in group.split("|") if one.strip()]
    return found


def write_tar(path):
    """Writes the files of the packages as the root directory of an image."""
    done = subprocess.run(["dpkg-query", "-L", *sorted(dependencies(PACKAGES))], capture_output=True, text=True, check=True)
    # Packages name files by /bin and /lib, which are links into /usr. An archive must not name a path twice.
    names = sorted({os.path.join(os.path.realpath(os.path.dirname(line)), os.path.basename(line))
                    for line in done.stdout.splitlines() if line.startswith("/") and os.path.lexists(line)})
    skipped = re.compile(r"/usr/share/(doc|man|locale|info|lintian|bug)/|/usr/lib/python3\.[0-9]+/(test/|EXTERNALLY-MANAGED)")
    with tarfile.open(path, "w") as tar:
        for link in ("/bin", "/sbin", "/lib", "/lib64"):
            if os.path.islink(link):
                tar.add(link, arcname=link[1:], recursive=False)
        for name in names:
            if name in ("/", "/.", "/bin", "/sbin", "/lib", "/lib64", "/tmp", "/root", "/var/tmp") or skipped.search(name):
                continue
            tar.add(name, arcname=name[1:], recursive=False)
        for extra in ("/etc/passwd", "/etc/group", "/etc/ssl/certs/ca-certificates.crt", "/usr/bin/python3", "/usr/bin/sh"):
            if os.path.lexists(extra) and extra not in names:
                tar.add(extra, arcname=extra[1:], recursive=False)
        python = tarfile.TarInfo("usr/bin/python")
        python.type, python.linkname = tarfile.SYMTYPE, "python3"
        tar.addfile(python)
        for directory in ("tmp", "root", "var/tmp"):
            info = tarfile.TarInfo(directory)
            info.type, info.mode = tarfile.DIRTYPE, 0o1777 if directory.endswith("tmp") else 0o700
            tar.addfile(info)
