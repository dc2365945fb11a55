"""Lakes in buckets of a server on loopback that speaks S3."""

from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from warehouse.lake import Lake


@dataclass(frozen=True)
class Store:
    """A server on loopback that speaks S3, with one bucket a lake."""

    address: str

    def lake(self, bucket: str, scratch: Path) -> Lake:
        """The lake in that bucket, as a new process would see it."""
        options = {
            "aws_endpoint_url": self.address,
            "aws_allow_http": "true",
            "aws_access_key_id": "a",
            "aws_secret_access_key": "b",
            "aws_region": "us-east-1",
        }
        return Lake(f"s3://{bucket}/lake", scratch, options)

    def put_lake(self, folder: Path, kind: str, node: pytest.Item) -> str:
        """The test's own bucket with a copy of a lake from a folder: each commit in it would take some ten requests."""
        bucket = self.make_bucket(kind, node)
        with httpx.Client(base_url=f"{self.address}/{bucket}/lake/", timeout=60) as client:
            for file in folder.rglob("*"):
                if file.is_file():
                    client.put(
                        file.relative_to(folder).as_posix(), content=file.read_bytes()
                    ).raise_for_status()
        return bucket

    def make_bucket(self, kind: str, node: pytest.Item) -> str:
        """A bucket of the test's own."""
        bucket = f"{kind}-{abs(hash(node.nodeid))}"
        httpx.put(f"{self.address}/{bucket}", timeout=60).raise_for_status()
        return bucket
