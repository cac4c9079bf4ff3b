"""Requests to a Consul agent through its Python library; the one room that knows the library and what it stands on.

The library is py-consul, or python-consul2 where that is installed instead: both are imported as ``consul``. Theirs are
the forms of requests; what carries them is put in here, because

- python-consul2 opens a session and a connection for each request, ignores client certificates and authorities, and warns
  of unclosed resources whatever is done; py-consul cannot leave host names of certificates to others (``server_name``);
- both let aiohttp's five minutes end a blocking query, and have no other bound on requests that nobody answers;
- both let ``CONSUL_HTTP_ADDR`` or ``CONSUL_HTTP_TOKEN`` win over what was asked for in so many words;
- py-consul's ``health.service`` knows no stale reads, python-consul2's no filters, and neither tells the leader and the age
  of an answer (``X-Consul-KnownLeader``, ``X-Consul-LastContact``) or that a token hides a part of it;
- neither's ``agent.service.register`` takes ``replace-existing-checks`` and any check in both libraries;
- neither knows namespaces;
- paths are only half quoted.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote, urlencode
from weakref import WeakSet

import aiohttp
import consul.aio  # type: ignore[import-untyped] # pyright: ignore[reportMissingTypeStubs]
import consul.base  # type: ignore[import-untyped] # pyright: ignore[reportMissingTypeStubs]
from yarl import URL

from micro_rt.backends.consul.address import ConsulAddress, read_token, token_problem
from micro_rt.backends.consul.agents import TrustedAgents
from micro_rt.errors import (
    Error,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from micro_rt.kit.foreign import read_json, whole
from micro_rt.kit.net import bracketed, keep_alive
from micro_rt.kit.secrets import shown_file
from micro_rt.kit.tls import client_context
from micro_rt.logs import logger

__all__ = ["TXN", "UNREACHABLE", "Answer", "Body", "ConsulHttp", "Params", "list_of", "refusal"]

_log = logger("micro_rt.consul")

Params = Sequence[tuple[str, str]]
Body = Mapping[str, Any] | Sequence[Any]
"""What is sent as JSON."""

TXN = "/v1/txn"
"""Where transactions go. One that was rolled back is an answer (409), and no error."""

UNREACHABLE = "micro.consul_unreachable"
"""The id of errors that say that nobody answered, whom it would help to start."""


LONGEST = 64 << 20
"""Bytes of an answer; one that is longer is not read to its end."""


_CLOSING = 1.0
"""Seconds that connections get to be closed by the event loop, when all of them are."""
_LOOK = 0.001
"""Seconds between two looks at them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What Consul said."""

    found: bool
    """False if the answer was 404, or if Consul rolled a transaction back: ``data`` says why."""
    data: Any
    """The JSON, or the text if it is none; None if there is none."""
    index: int
    """Of the state that was read, for a blocking query; 0 if it says none."""
    known_leader: bool
    """Whether the server that answered knows a leader."""
    age: float
    """Seconds since the server that answered heard from the leader."""
    filtered: bool
    """Whether something was left out because the token may not see it."""


class ConsulHttp:
    """One pool of connections; made and closed in the loop that uses it.

    Raises, from every request: a ``micro.Error`` that names the agent; ``Unavailable``, or ``ResourceExhausted`` if it takes no
    more at the moment, whenever trying again may help.

    Args:
        address: the agent, and how to speak to it.
    """

    def __init__(self, address: ConsulAddress) -> None:
        self._address = address
        # No limit on connections here: whoever makes requests bounds them, and blocking queries hold one each.
        self._sockets: WeakSet[socket.socket] = WeakSet()
        """All that are open, and perhaps others."""
        connector = aiohttp.TCPConnector(limit=0, ssl=_tls(address), socket_factory=self._socket, keepalive_timeout=60)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=None), trust_env=False, auto_decompress=True
        )
        self._clients: dict[str, Any] = {}
        self._token = _Token(address)
        self._agents = TrustedAgents(address)

    @property
    def token_changes(self) -> int:
        """How many times the token was replaced so far, because Consul refused it and the file held another."""
        return self._token.changes

    async def close(self) -> None:
        """Closes every connection."""
        await self._session.close()
        # aiohttp drops a connection whose request was cancelled while TLS still waits for the answer to its close_notify.
        for each in list(self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING):
                while any(each.fileno() != -1 for each in list(self._sockets)):  # noqa: ASYNC110 - no event says it
                    await asyncio.sleep(_LOOK)

    def _socket(self, info: tuple[Any, ...]) -> socket.socket:
        made = _new_socket(info)
        self._sockets.add(made)
        return made

    async def get(self, path: str, params: Params = (), *, timeout: float) -> Answer:
        """Reads; the path is quoted already."""
        request = self._client().http.get(_answer, path, [*params, *self._reading()])
        return cast("Answer", await self._bounded(request, timeout))

    async def put(
        self, path: str, body: Body | None = None, params: Params = (), *, timeout: float, host: str = ""
    ) -> Answer:
        """Writes; the path is quoted already."""
        data = "" if body is None else json.dumps(body)
        client = await self._client_at(host)
        return cast("Answer", await self._bounded(client.http.put(_answer, path, list(params), data), timeout))

    async def pass_check(self, id: str, *, timeout: float, host: str = "") -> bool:
        """Says that a TTL check passes; returns False if the agent has no such check.

        Args:
            id: of the check.
            timeout: seconds.
            host: another agent than that of the address, at the same port.
        """
        # The agent compares the note with the last one, and writes the same to the catalog never again.
        client = await self._client_at(host)
        return bool(await self._bounded(client.agent.check.ttl_pass(_quoted(id)), timeout))

    async def deregister(self, id: str, *, timeout: float, host: str = "") -> bool:
        """Has an agent forget a service; returns False if it does not know it."""
        client = await self._client_at(host)
        return bool(await self._bounded(client.agent.service.deregister(_quoted(id)), timeout))

    async def remove(self, node: str, id: str, *, timeout: float) -> None:
        """Removes a service from the catalog, past the agent that owned it."""
        await self._bounded(self._client().catalog.deregister(node, service_id=id), timeout)

    def _reading(self) -> Params:
        return [("dc", self._address.dc)] if self._address.dc else ()

    async def _client_at(self, host: str) -> Any:
        """Returns what speaks to an agent; every request to another host than that of the address comes through here.

        Raises:
            FailedPrecondition: the address does not allow that agent.
        """
        if host:
            # Each time: a name may have other addresses by now.
            await self._agents.check(host)
        return self._client(host)

    def _client(self, host: str = "") -> Any:
        client = self._clients.get(host)
        if client is None:
            url = self._address.url
            if host:
                place = bracketed(host)
                url = f"{'https' if self._address.tls else 'http'}://{place}:{self._address.port}"
            client = self._clients[host] = _make_client(_Transport(url, self._address, self._session, self._token))
        return client

    async def _bounded(self, request: Awaitable[Any], timeout: float) -> Any:
        try:
            async with asyncio.timeout(timeout):
                return await request
        except TimeoutError:
            raise self._unreachable(f"does not answer within {timeout:g} s") from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise self._unavailable(
                f"shows a certificate that is not trusted ({error.certificate_error}): name its authority with ca="
            ) from None
        except aiohttp.ClientSSLError as error:
            raise self._unavailable(_tls_problem(error)) from None
        except aiohttp.ClientConnectorError as error:
            raise self._unreachable(f"cannot be reached: {_os_problem(error.os_error)}") from None
        except aiohttp.ServerDisconnectedError:
            raise self._unreachable("closed the connection") from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(f"does not answer: {_os_problem(error)}") from None
        except ValueError as error:
            # Its message may repeat a token.
            raise FailedPrecondition(
                f"a request to Consul at {self._address.place} cannot be written ({type(error).__name__}): an id, a name or an "
                "option of the address has characters that HTTP does not carry"
            ) from None

    def _unavailable(self, problem: str, id: str = "micro.consul_unavailable") -> Unavailable:
        return Unavailable(f"Consul at {self._address.place} {problem}", id=id)

    def _unreachable(self, problem: str) -> Unavailable:
        return self._unavailable(problem, UNREACHABLE)


class _Token:
    """The token of all requests; read again from its file when Consul refuses it."""

    def __init__(self, address: ConsulAddress) -> None:
        self.value = address.token
        self.changes = 0
        self._file = address.token_file

    async def replaced(self, refused: str) -> bool:
        """Returns whether there is another token than the one that was refused; reads the file for it."""
        if self.value == refused and self._file:
            try:
                read = await asyncio.to_thread(read_token, self._file)
            except (OSError, ValueError) as error:
                problem = error.strerror if isinstance(error, OSError) else token_problem(error)
                _log.warning("Consul refuses the token, and %s cannot be read: %s", shown_file(self._file), problem)
                return False
            # Another request may have read it meanwhile.
            if read and self.value == refused != read:
                self.value = read
                self.changes += 1
                _log.info(
                    "Consul refused the token; %s holds another, which is used from now on", shown_file(self._file)
                )
        return self.value != refused


class _Transport:
    """What carries the library's requests, in place of its ``HTTPClient``: one session for all of them."""

    def __init__(self, url: str, address: ConsulAddress, session: aiohttp.ClientSession, token: _Token) -> None:
        self._url = url
        self._address = address
        self._session = session
        self._token = token
        self._headers: dict[str, str] = {}
        if address.user:
            self._headers["Authorization"] = "Basic " + base64.b64encode(address.user.encode()).decode()

    # The library calls these with the headers that it thinks right; they hold nothing but its own idea of the token.

    def get(self, callback: _Callback, path: str, params: Any = None, **_: Any) -> Awaitable[Any]:
        return self._request(callback, "GET", path, params, None)

    def put(self, callback: _Callback, path: str, params: Any = None, data: Any = "", **_: Any) -> Awaitable[Any]:
        return self._request(callback, "PUT", path, params, data)

    def delete(self, callback: _Callback, path: str, params: Any = None, data: Any = "", **_: Any) -> Awaitable[Any]:
        return self._request(callback, "DELETE", path, params, data)

    def post(self, callback: _Callback, path: str, params: Any = None, data: Any = "", **_: Any) -> Awaitable[Any]:
        return self._request(callback, "POST", path, params, data)

    async def close(self) -> None:
        """Does nothing: the session is not its own."""

    async def _request(self, callback: _Callback, method: str, path: str, params: Params | None, data: Any) -> Any:
        query = list(params or ())
        if self._address.namespace:
            query.append(("ns", self._address.namespace))
        url = URL(f"{self._url}{path}{'?' + urlencode(query) if query else ''}", encoded=True)
        token = self._token.value
        response = await self._send(method, url, data, token)
        if _is_about_token(response.code, response.body) and await self._token.replaced(token):
            response = await self._send(method, url, data, self._token.value)
        rolled_back = response.code == 409 and path == TXN and not _is_about_token(response.code, response.body)
        if response.code not in (200, 404) and not rolled_back:
            raise refusal(self._address, response.code, response.body.strip())
        return callback(response)

    async def _send(self, method: str, url: URL, data: Any, token: str) -> _Response:
        headers = {**self._headers, "X-Consul-Token": token} if token else self._headers
        server_name = self._address.server_name or None
        try:
            async with self._session.request(
                method, url, data=data or None, headers=headers, allow_redirects=False, server_hostname=server_name
            ) as response:
                body = await self._body(response)
                return _Response(response.status, response.headers, body.decode(errors="replace"))
        except aiohttp.ClientResponseError as error:
            problem = str(error)
        # Its repr shows the headers of the request, and so the token: no error may have it as its context.
        raise aiohttp.ClientError(problem)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for part in response.content.iter_any():
            body += part
            if len(body) > LONGEST:
                response.close()
                raise ResourceExhausted(f"Consul at {self._address.place} answers with more than {LONGEST >> 20} MiB")
        return bytes(body)


class _Response:
    """A response as both libraries' callbacks read it."""

    __slots__ = ("body", "code", "content", "headers")

    def __init__(self, code: int, headers: Mapping[str, str], body: str) -> None:
        self.code = code
        self.headers = headers
        self.body = body
        self.content = body


_Callback = Callable[[_Response], Any]


def refusal(address: ConsulAddress, status: int, text: str) -> Error:
    """Returns the error of a status other than 200 and 404.

    Args:
        address: of the agent.
        status: of HTTP.
        text: what the agent says.
    """
    where = f"Consul at {address.place}"
    if "HTTP request to an HTTPS server" in text:
        return Unavailable(f"{where} speaks TLS there: add tls=true to its address")
    if _is_about_token(status, text):
        if "permission denied" not in text.lower():
            return Unauthenticated(f"{where} does not know the token: {text}")
        return PermissionDenied(f"{where} refuses: {text}")
    if "No path to datacenter" in text:
        return FailedPrecondition(f"{where} knows no datacenter {address.dc!r}: check dc=")
    if status == 400 and '"ns"' in text:
        return FailedPrecondition(f"{where} has no namespaces, which need Consul Enterprise: leave out namespace=")
    if status == 429 or "Too many" in text:
        # It is there, and busy blocking queries are better left alone.
        return ResourceExhausted(f"{where} takes no more requests or connections from this machine: {text}")
    if status == 413:
        return ResourceExhausted(f"{where} finds this too large: {text}")
    if status >= 500:
        return Unavailable(f"{where} fails: {text}")
    if 300 <= status < 400:
        return Unavailable(f"{where} is something else: it answers with a redirection ({status})")
    return InvalidArgument(f"{where} refuses ({status}): {text}")


def _is_about_token(status: int, text: str) -> bool:
    """Returns whether an agent refuses a request because of its token.

    A server that passes on the refusal of another one does so as 500, and not always in the same letters.
    """
    said = text.lower()
    return status in (401, 403) or (status >= 400 and ("permission denied" in said or "acl not found" in said))


def _answer(response: _Response) -> Answer:
    headers = response.headers
    data: Any = None
    if response.code in (200, 409) and response.body:
        try:
            data = read_json(response.body)
        except ValueError:
            if headers.get("Content-Type", "").startswith("application/json"):
                raise Internal("Consul's answer is cut short, or not JSON") from None
            data = response.body
    return Answer(
        found=response.code == 200,
        data=data,
        index=_number(headers.get("X-Consul-Index")),
        known_leader=headers.get("X-Consul-KnownLeader", "true") == "true",
        age=_number(headers.get("X-Consul-LastContact")) / 1000,
        filtered=headers.get("X-Consul-Results-Filtered-By-ACLs") == "true",
    )


def _quoted(id: str) -> str:
    # Consul's JSON may hold half of a surrogate pair, which no path can.
    return quote(id, safe="", errors="replace")


def list_of(data: Any) -> list[Any]:
    """Returns the list that an answer is; an empty one if there is no answer.

    Raises:
        TypeError: the answer is something else.
    """
    if data is None:
        return []
    if not isinstance(data, list):
        raise TypeError("Consul's answer is not a list")
    return list(cast("Iterable[Any]", data))


def _number(text: str | None) -> int:
    return whole(text) or 0


def _make_client(transport: _Transport) -> Any:
    class Client(consul.aio.Consul):  # type: ignore[misc]
        def http_connect(self, *_: Any, **__: Any) -> Any:
            return transport

    try:
        with warnings.catch_warnings():
            # python-consul2 warns of parts that nobody here uses.
            warnings.simplefilter("ignore", DeprecationWarning)
            return Client("127.0.0.1", 8500)
    except (consul.base.ConsulException, ValueError):
        # Both read CONSUL_HTTP_ADDR whatever they are told; it does not matter, unless they cannot.
        pass
    raise FailedPrecondition("the consul library cannot read its environment: correct or remove CONSUL_HTTP_ADDR")


def _tls(address: ConsulAddress) -> ssl.SSLContext | bool:
    if not address.tls:
        return True
    return client_context(
        f"Consul at {address.place}", ca=address.ca, cert=address.cert, key=address.key, verify=address.verify
    )


def _new_socket(info: tuple[Any, ...]) -> socket.socket:
    """Makes a socket that notices a peer that is gone, although a blocking query says nothing for minutes."""
    family, kind, protocol, _, _ = info
    made = socket.socket(family=family, type=kind, proto=protocol)
    keep_alive(made, idle=15, every=5, probes=3)
    return made


def _tls_problem(error: aiohttp.ClientSSLError) -> str:
    if "WRONG_VERSION_NUMBER" in str(error) or "RECORD_LAYER" in str(error):
        return "does not speak TLS there: take tls=true out of its address, or name its HTTPS port"
    return f"refuses the TLS connection: {error.os_error}"


def _os_problem(error: BaseException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    strerror = getattr(error, "strerror", None)
    return str(strerror or error or type(error).__name__)
