"""The library: it lends books, and has a letter written for each loan."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator

from library_micro import LettersBase, LettersClient, LibraryBase
from library_pb2 import Book, LendRequest, Letter, Loan, Wish

import micro_rt as micro
from micro_rt.details import BadRequest

MOST = 3


class Library(LibraryBase):
    def __init__(self, service: micro.Service) -> None:
        self._letters = LettersClient(service, target="letters")

    async def lend(self, request: LendRequest, context: micro.Context) -> Loan:
        if request.copies > MOST:
            too_many = BadRequest.FieldViolation(field="copies", description=f"at most {MOST}", reason="TOO_MANY")
            wrong = BadRequest(field_violations=[too_many])
            raise micro.InvalidArgument("not lent", id="library.too_many", details=[wrong])
        # It ends with the call that is served here, and the letter's handler gets "x-reader" too.
        letter = await self._letters.write(Letter(text=request.title))
        return Loan(title=request.title, letter=letter.text)

    async def find(self, requests: AsyncIterator[Wish], context: micro.Context) -> AsyncIterator[Book]:
        async for wish in requests:
            yield Book(title=wish.title)


class Letters(LettersBase):
    def write(self, request: Letter, context: micro.Context) -> Letter:
        time.sleep(0.01)  # A plain function may block: it runs in a thread.
        reader, remaining = context.metadata.text("x-reader", "reader"), context.remaining()
        left = "no limit" if remaining is None else f"at most {math.ceil(remaining)} s"
        return Letter(text=f"Dear {reader}: {request.text} is yours ({left} for this letter)")
