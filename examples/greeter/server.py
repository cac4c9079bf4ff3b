"""Serves the greeter. Run it in several terminals: clients find every one of them."""

from collections.abc import AsyncIterator

from greeter_micro import GreeterBase
from greeter_pb2 import HelloReply, HelloRequest, RepeatRequest

import micro_rt as micro


class Greeter(GreeterBase):
    async def say_hello(self, request: HelloRequest, context: micro.Context) -> HelloReply:
        if not request.name:
            raise micro.InvalidArgument("name is empty: whom shall I greet?")
        return HelloReply(message=f"Hello {request.name}")

    async def repeat(self, request: RepeatRequest, context: micro.Context) -> AsyncIterator[HelloReply]:
        for turn in range(1, request.times + 1):
            yield HelloReply(message=f"Hello {request.name}, for the {turn}. time")

    async def gather(self, requests: AsyncIterator[HelloRequest], context: micro.Context) -> HelloReply:
        names = [request.name async for request in requests]
        return HelloReply(message=f"Hello {', '.join(names)}")

    async def chat(self, requests: AsyncIterator[HelloRequest], context: micro.Context) -> AsyncIterator[HelloReply]:
        async for request in requests:
            yield HelloReply(message=f"Hello {request.name}")


if __name__ == "__main__":
    service = micro.Service("greeter")
    service.handle(Greeter())
    service.run()
