"""A node in Python: `MICRO_REGISTRY=consul://127.0.0.1:8500 python server.py`."""

import os
from collections.abc import AsyncIterator

from greeter_micro import GreeterBase
from greeter_pb2 import HelloReply, HelloRequest

import micro_rt as micro

NAME = f"Python {os.getpid()}"


class Greeter(GreeterBase):
    async def say_hello(self, request: HelloRequest, context: micro.Context) -> HelloReply:
        if request.name == "Godot":
            raise micro.NotFound("Godot has not come", id="greeter.absent")
        return HelloReply(message=f"Hello {request.name}", greeter=NAME)

    async def chat(self, requests: AsyncIterator[HelloRequest], context: micro.Context) -> AsyncIterator[HelloReply]:
        async for request in requests:
            yield HelloReply(message=f"Hello {request.name}", greeter=NAME)


if __name__ == "__main__":
    service = micro.Service("greeter", version="latest", address="127.0.0.1:0")
    service.handle(Greeter())
    service.run()
