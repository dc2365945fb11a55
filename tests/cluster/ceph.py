"""Ceph's object gateway with one monitor and one store in memory, as Debian's packages have them, on loopback."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import httpx

from tests.cluster.stage import BUCKET, LOCATION, wait_for
from tests.ports import find_free_port

LOST = "radosgw is not installed: on Debian, apt-get install radosgw ceph-mon ceph-osd ceph-common"
CONFIGURATION = """[global]
fsid = {fsid}
mon initial members = a
mon host = v2:127.0.0.1:{port}
public network = 127.0.0.0/8
keyring = {folder}/keyring
run dir = {folder}
admin socket = {folder}/$name.asok
pid file =
log file = {folder}/$name.log
mon data = {folder}/mon
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd crush chooseleaf type = 0
osd class load list = *
osd class default list = *
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon data avail crit = 1
rgw data = {folder}
rgw frontends = beast endpoint=127.0.0.1:{gateway}
"""


@contextmanager
def serve_ceph(folder: Path) -> Iterator[dict[str, str]]:
    """The settings of a bucket of Ceph, whose daemons end with the block; `folder` must be new and its path short."""
    assert shutil.which("radosgw"), LOST
    assert shutil.which("ceph-osd"), LOST
    for name in ("mon", "osd"):
        (folder / name).mkdir(parents=True)
    port, gateway, fsid, store = find_free_port(), find_free_port(), str(uuid.uuid4()), str(uuid.uuid4())
    file = folder / "ceph.conf"
    file.write_text(CONFIGURATION.format(folder=folder, port=port, gateway=gateway, fsid=fsid))
    of = ["--conf", str(file)]

    def do(*words: str) -> None:
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"

    keyring, monitors = str(folder / "keyring"), str(folder / "monmap")
    for name in ("mon.", "client.admin", "client.rgw", "osd.0"):
        first = [] if Path(keyring).exists() else ["--create-keyring"]
        rights = ["--cap", "mon", "allow *", *([] if name == "mon." else ["--cap", "osd", "allow *"])]
        do("ceph-authtool", *first, keyring, "--gen-key", "-n", name, *rights)
    do("monmaptool", "--create", "--addv", "a", f"[v2:127.0.0.1:{port}]", "--fsid", fsid, monitors)
    do("ceph-mon", *of, "--mkfs", "-i", "a", "--monmap", monitors, "--keyring", keyring)
    started: list[subprocess.Popen[bytes]] = []

    def begin(*words: str) -> None:
        with (folder / f"{words[0]}.out").open("w") as said:
            started.append(
                subprocess.Popen([words[0], *of, *words[1:], "-f"], stdout=said, stderr=said, env=os.environ)
            )

    try:
        begin("ceph-mon", "-i", "a")
        do("ceph", *of, "osd", "new", store)
        do("ceph-osd", *of, "-i", "0", "--mkfs", "--osd-uuid", store)
        begin("ceph-osd", "-i", "0")
        begin("radosgw", "-n", "client.rgw")
        keys = [
            f"--access-key={LOCATION['AWS_ACCESS_KEY_ID']}",
            f"--secret-key={LOCATION['AWS_SECRET_ACCESS_KEY']}",
        ]
        do("radosgw-admin", *of, "user", "create", "--uid=sunledger", "--display-name=sunledger", *keys)
        address = f"http://127.0.0.1:{gateway}"
        wait_for(lambda: _answers(address), "The start of Ceph's gateway", 300)
        boto3.client(
            "s3",
            endpoint_url=address,
            region_name=LOCATION["AWS_REGION"],
            aws_access_key_id=LOCATION["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=LOCATION["AWS_SECRET_ACCESS_KEY"],
        ).create_bucket(Bucket=BUCKET)
        yield {**LOCATION, "AWS_ENDPOINT_URL": address, "SUNLEDGER_LAKE": f"s3://{BUCKET}/lake"}
    finally:
        for process in reversed(started):
            process.kill()
            process.wait(60)


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=10).status_code < 500
    except httpx.HTTPError:
        return False
