"""Registry ``mdns:`` on the command line, in the words of go_micro_mdns/main.go.

mdns_peer.py register SERVICE [TTL]   SERVICE is JSON in the form of go-micro's registry, with one node
mdns_peer.py get NAME [ADDRESS] | list | watch NAME
"""

import asyncio
import json
import sys

from micro_rt.backends.mdns.registry import MdnsRegistry
from micro_rt.go_micro.nodes import decode_endpoints, endpoints_json
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from micro_rt.registry.registrar import Registrar


def shown(node: Node) -> dict[str, object]:
    return {
        "id": node.id,
        "address": node.address,
        "transport": node.transport,
        "version": node.version,
        "services": sorted(node.services),
        "metadata": dict(node.metadata),
        "endpoints": endpoints_json(node.endpoints),
    }


async def main(command: str, *arguments: str) -> None:
    registry = MdnsRegistry((*arguments, "mdns:")[1] if command == "get" else "mdns:")
    await registry.open()
    try:
        if command == "register":
            service = json.loads(arguments[0])
            (given,) = service["nodes"]
            node = Node(
                given["id"],
                given["address"],
                version=service["version"],
                services=frozenset(given.get("services", ())),
                metadata=given["metadata"],
                endpoints=decode_endpoints(service["endpoints"]),
            )
            registrar = Registrar(registry, Registration(node, (service["name"],)), ttl=float((*arguments, "30")[1]))
            await registrar.start()
            print("registered", flush=True)
            await asyncio.to_thread(sys.stdin.read)
            await registrar.stop()
            print("deregistered", flush=True)
        elif command == "get":
            print(json.dumps([shown(node) for node in await registry.resolve(arguments[0])]))
        elif command == "list":
            print(
                json.dumps({name: [shown(node) for node in nodes] for name, nodes in (await registry.names()).items()})
            )
        elif command == "watch":
            async for nodes in registry.watch(arguments[0]):
                print(json.dumps([shown(node) for node in nodes]), flush=True)
    finally:
        await registry.close()


asyncio.run(main(*sys.argv[1:]))
