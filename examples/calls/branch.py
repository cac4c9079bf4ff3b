"""A small branch of the library, and what runs around its calls."""

from __future__ import annotations

from collections import Counter

from library_micro import LibraryBase, LibraryClient
from library_pb2 import LendRequest, Loan

import micro_rt as micro

SHELVES = {"Emma": "first shelf"}
counts: Counter[str] = Counter()


class Branch(LibraryBase):
    async def lend(self, request: LendRequest, context: micro.Context) -> Loan:
        return Loan(title=request.title, letter=f"{request.title} is on the {SHELVES[request.title]}")


class Tidy(micro.ServerInterceptor[LendRequest, Loan]):
    async def unary(
        self, request: LendRequest, call: micro.Context, proceed: micro.UnaryNext[LendRequest, Loan]
    ) -> Loan:
        return await proceed(LendRequest(title=request.title.strip(), copies=request.copies), call)


def count(timed: micro.Timed) -> None:
    counts[timed.code.name] += 1  # or a histogram of timed.seconds, by timed.name and timed.code


def missing(error: Exception, call: micro.Context | micro.EventContext) -> micro.Error | None:
    return micro.NotFound(f"{error} is not here") if isinstance(error, KeyError) else None


def made() -> micro.Service:
    branch = micro.Service(
        "branch",
        interceptors=[
            micro.AccessLog(),
            micro.Timing(count),
            micro.RateLimit(0.01, burst=2, key="x-reader"),
            micro.Recovery(missing),
        ],
    )
    branch.handle(Branch(), method_interceptors={"lend": [Tidy()]})
    return branch


async def ask(web: micro.Service, title: str) -> str:
    branch = LibraryClient(web, target="branch", interceptors=[micro.AddMetadata({"x-reader": "Ada"})])
    try:
        return (await branch.lend(LendRequest(title=title))).letter
    except micro.NotFound as error:
        return error.message
    except micro.ResourceExhausted as error:
        return error.id
