"""The client for code that is not asynchronous (Dagster, the command line): one loop, thread and client."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings
from pipeline.sma.client import Admit, SmaClient, pass_all
from pipeline.sma.http.attempt import Counters
from pipeline.sma.http.ordered_stream import OrderedStream
from pipeline.sma.pending_results import PendingResults
from pipeline.sma.requests import Answer, Failure, Request

T = TypeVar("T")


class SmaSession:
    """Connections and token live as long as the session, so that a run of many days connects once.

    The thread and the client start at the first use, not before. Use it as a context manager. One session
    may serve several threads; `make_client` is called in the session's own thread.
    """

    def __init__(self, settings: Settings, make_client: Callable[[Settings], SmaClient] = SmaClient) -> None:
        self._settings = settings
        self._make_client = make_client
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._client: SmaClient | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def requests_sent(self) -> int:
        """HTTP requests sent so far, token renewals and retries included."""
        return self._counters.requests_sent

    @property
    def bytes_received(self) -> int:
        """Bytes of all bodies so far, decompressed."""
        return self._counters.bytes_received

    @property
    def retries(self) -> int:
        """Requests sent again after a transient fault so far."""
        return self._counters.retries

    def send(self, request: Request) -> Answer:
        """The answer to one request. Raises SmaError, or ConfigurationError when credentials are missing."""
        return self._run(self._start().send(request))

    def fetch(
        self, requests: Iterable[Request], *, urgent: bool = False, admit: Admit = pass_all
    ) -> PendingResults[Answer | Failure]:
        """Results in the order of `requests`, which are sent from now on, ahead within the client's bounds.

        Of several calls the requests of the first one go first, but before them those of an `urgent` one. `requests` is
        pulled lazily in the session's thread, in which `admit` is called before each try too: neither may call this
        session itself, and what they raise comes in its place in the order. Closing the results early cancels what is
        in flight.
        """
        stream = self._run(_begin(self._start(), requests, urgent=urgent, admit=admit))
        return PendingResults(self._take_all(stream), partial(self._close_stream, stream))

    def _take_all(self, stream: OrderedStream) -> Iterator[Answer | Failure]:
        while batch := self._run(stream.take()):
            yield from batch

    def _close_stream(self, stream: OrderedStream) -> None:
        # After `close()` the loop is gone, and with it everything that was in flight.
        if not self._closed:
            self._run(stream.aclose())

    def use(self, work: Callable[[SmaClient], Coroutine[Any, Any, T]]) -> T:
        """Run other work with the client's token and connections, in the session's thread."""
        return self._run(work(self._start()))

    def close(self) -> None:
        """Cancel what is in flight, close every connection, end the thread. May be called twice."""
        with self._lock:
            self._closed = True
            loop, thread, client = self._loop, self._thread, self._client
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_shut_down(client), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    @property
    def _counters(self) -> Counters:
        client = self._client
        return client.counters if client else Counters()

    def _start(self) -> SmaClient:
        """The client; starts the thread and makes the client when this is the first use."""
        with self._lock:
            if self._closed:
                raise _is_closed()
            if self._loop is None:
                loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=loop.run_forever, name="sma-session", daemon=True)
                self._thread.start()
                self._loop = loop
            if self._client is None:
                self._client = asyncio.run_coroutine_threadsafe(
                    _make(self._make_client, self._settings), self._loop
                ).result()
            return self._client

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the session's loop and wait. An interrupt of the waiting thread cancels the work."""
        loop = self._loop
        if loop is None:
            work.close()
            raise _is_closed()
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise _is_closed() from None
        except BaseException:
            future.cancel()
            raise


def _is_closed() -> SunledgerError:
    return SunledgerError("The session with SMA is closed: open a new one to send more requests.")


async def _make(make_client: Callable[[Settings], SmaClient], settings: Settings) -> SmaClient:
    return make_client(settings)


async def _begin(
    client: SmaClient, requests: Iterable[Request], *, urgent: bool, admit: Admit
) -> OrderedStream:
    stream = client.open_stream(requests, urgent=urgent, admit=admit)
    stream.begin()
    return stream


async def _shut_down(client: SmaClient | None) -> None:
    """Cancel every other task of the loop, wait for them, close the client."""
    if client is not None:
        await client.tokens.settle()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if client is not None:
        await client.aclose()
