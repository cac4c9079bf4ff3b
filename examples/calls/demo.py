"""Deadlines, errors with details, what goes on from call to call, what runs around calls, JSON, and calls without generated code.

python examples/calls/demo.py
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import micro_rt as micro

HERE = Path(__file__).parent
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="micro-rt-demo-") as folder:
        command = ["generate", "-I", str(HERE), "--out", folder, str(HERE / "library.proto")]
        subprocess.run([sys.executable, "-m", "micro_rt", *command], check=True, stdout=subprocess.DEVNULL)
        os.environ["MICRO_HOME"] = str(Path(folder) / "state")  # the registry's file, away from the user's own
        sys.path[:0] = [folder, str(HERE)]
        asyncio.run(show())


async def show() -> None:
    import branch
    import readers
    from library import Letters, Library
    from library_micro import LibraryClient
    from library_pb2 import LendRequest

    letters = micro.Service("letters")
    letters.handle(Letters())
    service = micro.Service("library", flow=["x-reader"])
    service.handle(Library(service))
    async with letters, service, micro.Service("web") as web:
        library = LibraryClient(web, target="library")

        title("1", "How long a call may take")
        for loan in await readers.lend_with_timeouts(library):
            say(loan.letter)

        title("2", "An error with details")
        say(await readers.borrow(library, "Faust", 9))

        title("3", "What goes on from call to call")
        loan = await library.lend(LendRequest(title="Faust", copies=1), metadata={"x-reader": "Ada"})
        say(loan.letter)

        title("4", "What runs around calls")
        async with branch.made():
            for book in ("  Emma ", "Ulysses", "Emma"):
                say(await branch.ask(web, book))
        say(", ".join(f"{code}: {number}" for code, number in branch.counts.items()))

        title("5", "Messages in JSON")
        say(await readers.in_json())

        title("6", "Calls without generated code")
        say(await readers.without_generated_code(web))
        say(", ".join(await readers.shelves_without_generated_code(web)))


def title(number: str, text: str) -> None:
    print(f"\n\033[1m{number}. {text}\033[0m" if COLOUR else f"\n{number}. {text}", flush=True)


def say(text: str) -> None:
    print(f"   {text}", flush=True)


if __name__ == "__main__":
    main()
