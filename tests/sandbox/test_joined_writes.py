"""Head and body leave in one piece, and nothing is held back for long."""

import asyncio
from collections.abc import Iterable
from typing import cast

from sandbox.joined_writes import JoinedWrites


class Recorder:
    """A transport that remembers each piece it is given to send."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def writelines(self, pieces: Iterable[bytes]) -> None:
        self.sent.append(b"".join(pieces))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def play(*turns: list[bytes], close: bool = False) -> list[bytes]:
    """What is sent when each turn of the loop writes these pieces; at last the connection may be closed."""

    async def run() -> list[bytes]:
        recorder = Recorder()
        joined = JoinedWrites(cast("asyncio.Transport", recorder))
        for pieces in turns:
            for piece in pieces:
                joined.write(piece)
            if not close:
                await asyncio.sleep(0)
        if close:
            joined.close()
        return recorder.sent

    return asyncio.run(run())


def test_a_head_goes_with_its_body() -> None:
    assert play([b"head", b"body"], [b"head", b"body"]) == [b"headbody", b"headbody"]


def test_a_head_alone_goes_with_the_next_turn() -> None:
    assert play([b"head"], [b"body"]) == [b"head", b"body"]


def test_more_pieces_go_at_once() -> None:
    assert play([b"head", b"one", b"two"]) == [b"headone", b"two"]


def test_closing_sends_what_waits() -> None:
    assert play([b"head"], close=True) == [b"head"]
