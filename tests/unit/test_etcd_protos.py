"""Our copy of a part of etcd's API does not keep anybody from having all of it, in the same process."""

import subprocess
import sys

SCRIPT = """
from google.protobuf import descriptor_pb2, descriptor_pool

def etcds_own():
    pool = descriptor_pool.Default()
    for name, package, message, service in (
        ("etcd/api/mvccpb/kv.proto", "mvccpb", "KeyValue", None),
        ("etcd/api/etcdserverpb/rpc.proto", "etcdserverpb", "RangeRequest", "KV"),
    ):
        file = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3")
        file.message_type.add(name=message)
        if service:
            own = f".{package}.{message}"
            file.service.add(name=service).method.add(name="Range", input_type=own, output_type=own)
        pool.Add(file)

def ours():
    from micro_rt.backends.etcd.messages_pb2 import KeyValue
    from micro_rt.backends.etcd.services_micro import KVClient
    (read,) = [method for method in KVClient._info_.methods if method.name == "Range"]
    assert read.path == "/etcdserverpb.KV/Range"
    assert KeyValue(key=b"k", value=b"v").SerializeToString() == b"\\n\\x01k*\\x01v"

for step in (FIRST, SECOND):
    step()
"""


def run(first: str, second: str) -> None:
    script = SCRIPT.replace("FIRST", first).replace("SECOND", second)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_etcds_own_files_may_come_first() -> None:
    run("etcds_own", "ours")


def test_etcds_own_files_may_come_later() -> None:
    run("ours", "etcds_own")
