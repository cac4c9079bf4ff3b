"""TLS without a changed line: the greeter's server, certificates that are replaced under load, and a client that is refused.

python examples/tls/demo.py

It plays the authority itself, with trustme (pip install trustme). In production, the files come from yours.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trustme

import micro_rt as micro

HERE = Path(__file__).parent
GREETER = HERE.parent / "greeter"
RENEWALS = 5


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="micro-rt-demo-") as temporary:
        folder = Path(temporary)
        os.environ["MICRO_HOME"] = str(folder / "state")  # the registry's file, away from the user's own
        os.environ["PYTHONPATH"] = str(folder)
        sys.path.insert(0, str(folder))
        generate = [sys.executable, "-m", "micro_rt", "generate", "-I", str(GREETER), "--out", str(folder)]
        subprocess.run([*generate, str(GREETER / "greeter.proto")], check=True, stdout=subprocess.DEVNULL)

        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.crt"))
        issue(authority, folder)
        print("$ MICRO_TLS_CERT=tls.crt MICRO_TLS_KEY=tls.key MICRO_TLS_ROOTS=ca.crt python server.py")
        tls = {"MICRO_TLS_CERT": "tls.crt", "MICRO_TLS_KEY": "tls.key", "MICRO_TLS_ROOTS": "ca.crt"}
        variables = os.environ | {name: str(folder / file) for name, file in tls.items()}
        with (folder / "server.log").open("wb") as log:
            server = subprocess.Popen(
                [sys.executable, str(GREETER / "server.py")], env=variables, stdout=log, stderr=log
            )
        try:
            asyncio.run(call_everything(authority, folder, server))
        finally:
            server.terminate()
            code = server.wait(20)
        said = [line for line in (folder / "server.log").read_text().splitlines() if "refused" in line]
        print(f"the server's log: {said[0].partition('listener')[2].strip(' :') if said else 'no refusal!'}")
        return code if said else 1


def issue(authority: trustme.CA, folder: Path) -> None:
    """Writes a new certificate and its key, one after the other."""
    made = authority.issue_cert("127.0.0.1")
    (folder / "tls.crt").write_bytes(b"".join([each.bytes() for each in made.cert_chain_pems]))
    (folder / "tls.key").write_bytes(made.private_key_pem.bytes())


async def call_everything(authority: trustme.CA, folder: Path, server: subprocess.Popen[bytes]) -> None:
    from greeter_micro import GreeterClient
    from greeter_pb2 import HelloRequest

    roots = str(folder / "ca.crt")
    tls = micro.Tls(cert=str(folder / "tls.crt"), key=str(folder / "tls.key"), roots=roots)
    async with micro.Service("web", tls=tls) as service:
        deadline = time.monotonic() + 30
        while not await service.registry.resolve("greeter"):
            if time.monotonic() > deadline or server.poll() is not None:
                raise SystemExit(f"the server did not come up: {(folder / 'server.log').read_text()}")
            await asyncio.sleep(0.05)
        greeter = GreeterClient(service)
        reply = await greeter.say_hello(HelloRequest(name="Ada"), timeout=10)
        print(f"with a certificate               {reply.message}")

        calls, renewing = 0, asyncio.create_task(renew(authority, folder))
        while not renewing.done():
            await greeter.say_hello(HelloRequest(name="Ada"), timeout=10)
            calls += 1
        await renewing
        print(f"{RENEWALS} new certificates meanwhile    {calls} calls, none failed")

    async with micro.Service("stranger", tls=micro.Tls(roots=roots)) as service:
        try:
            await GreeterClient(service).say_hello(HelloRequest(name="Eve"), timeout=10)
        except micro.Unavailable as error:
            print(f"without one                      {error.message}")
        else:
            raise SystemExit("a stranger was served")


async def renew(authority: trustme.CA, folder: Path) -> None:
    for _ in range(RENEWALS):
        issue(authority, folder)
        await asyncio.sleep(0.3)


if __name__ == "__main__":
    sys.exit(main())
