"""Calls the greeter, each kind of call once."""

import asyncio
from collections.abc import AsyncIterator

from greeter_micro import GreeterClient
from greeter_pb2 import HelloRequest, RepeatRequest

import micro_rt as micro


async def people() -> AsyncIterator[HelloRequest]:
    for name in ("Ada", "Grace", "Barbara"):
        yield HelloRequest(name=name)


async def main() -> None:
    async with micro.Service("web") as service:
        greeter = GreeterClient(service)

        # Unary: a coroutine.
        reply = await greeter.say_hello(HelloRequest(name="Ada"), timeout=1.0)
        print(reply.message)

        # Server streaming: iterated.
        async for reply in greeter.repeat(RepeatRequest(name="Grace", times=2)):
            print(reply.message)

        # Client streaming: awaited with its messages, or driven.
        reply = await greeter.gather(people())
        print(reply.message)

        # Bidirectional: iterated, or driven by hand.
        async for reply in greeter.chat(people()):
            print(reply.message)

        async with greeter.chat() as call:
            await call.send(HelloRequest(name="Margaret"))
            print((await call.receive()).message)

        try:
            await greeter.say_hello(HelloRequest())
        except micro.InvalidArgument as error:
            print(error)


if __name__ == "__main__":
    asyncio.run(main())
