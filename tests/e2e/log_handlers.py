"""A second log handler beside that of a local installation, which `riseml up` has only one of."""

import glob
import os
import re
import socket
import subprocess

from stack import BIN, eventually

PARTITIONS = 64  # of the topic, as `create-topics` makes it


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class OtherLogHandler:
    """Makes both log handlers members of one group, and starts the other one."""

    name = "logs-1"

    def __init__(self, stack):
        self.claims = os.path.join(stack.dir, "log-store", "claims")
        config = stack.config("loghandler")
        first = {**config, "instance": "logs-0", "public_address": stack.config("api")["loghandler_address"]}
        address = f"127.0.0.1:{free_port()}"
        listener = {key: value for key, value in config["user_listener"].items() if key != "socket_address"}
        second = {**config, "instance": self.name, "public_address": address,
                  "user_listener": {**listener, "address": address}}
        del second["metrics_address"]
        path = stack.config_path("other-loghandler")
        stack.write_config("other-loghandler", second)
        stack.restart_with("loghandler", first)
        owner = os.stat(stack.config_path("loghandler"))
        os.chown(path, owner.st_uid, owner.st_gid)
        as_owner = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        with open(os.path.join(stack.root, "other-loghandler.log"), "ab") as log:
            self.process = subprocess.Popen([os.path.join(BIN, "riseml-loghandler"), "--config", path], stdout=log,
                                            stderr=log, **as_owner)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def owners(self):
        """Name of the log handler that has each partition."""
        claims = []
        for path in glob.glob(os.path.join(self.claims, "*.pb")):
            if match := re.fullmatch(r"(\d+)\.(\d+)\.pb", os.path.basename(path)):
                claims.append((*map(int, match.groups()), path))
        owners = {}
        for partition, _, path in sorted(claims):  # the highest generation last
            try:
                with open(path, "rb") as file:
                    owners[partition] = self.name if self.name.encode() in file.read() else "logs-0"
            except FileNotFoundError:
                continue  # a newer claim has replaced it
        return owners

    def owner_of(self, job_uid):
        """Name of the log handler that has the log of a job."""
        partition = crc32c(job_uid.encode()) % PARTITIONS
        return eventually(lambda: self.owners().get(partition), "the partition of the job has an owner")
