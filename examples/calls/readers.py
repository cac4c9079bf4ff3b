"""What readers do."""

from __future__ import annotations

from contextlib import suppress

import library_pb2
from library_micro import LibraryClient
from library_pb2 import LendRequest, Loan

import micro_rt as micro
from micro_rt.details import BadRequest


async def borrow(library: LibraryClient, title: str, copies: int) -> str:
    try:
        loan = await library.lend(LendRequest(title=title, copies=copies))
    except micro.InvalidArgument as error:
        wrong = error.detail(BadRequest)
        problems = [] if wrong is None else [f"{each.field}: {each.description}" for each in wrong.field_violations]
        return f"{error.message}: {', '.join(problems)}"
    return loan.letter


async def in_json() -> str:
    async with micro.Service("json", codec="json") as service:
        loan = await LibraryClient(service, target="library").lend(LendRequest(title="Emma", copies=1))
        return loan.letter


async def without_generated_code(service: micro.Service) -> str:
    loan = await service.call("library", "library.Library/Lend", {"title": "Emma", "copies": 1})
    with suppress(micro.InvalidArgument):  # the request does not fit: it was not sent
        await service.call("library", "library.Library/Lend", {"titel": "Emma"})
    return str(loan["letter"])


async def shelves_without_generated_code(service: micro.Service) -> list[str]:
    wanted = [{"title": "Faust"}, {"title": "Emma"}]
    books = service.call("library", "library.Library/Find", wanted, descriptors=library_pb2)
    titles = [book["title"] async for book in books]
    return sorted(titles)


async def lend_with_timeouts(library: LibraryClient) -> list[Loan]:
    request = LendRequest(title="Faust", copies=1)
    return [
        await library.lend(request),  # 2 s, as the .proto says of the method
        await library.lend(request, timeout=60),  # the handler still gets 2 s: the .proto bounds the server too
        await library.lend(request, timeout=0.9),
    ]
