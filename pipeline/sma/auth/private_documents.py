"""Where logins, consents and what was agreed to be spent are kept: private files, or PostgreSQL in a cluster.

In PostgreSQL they are encrypted by SUNLEDGER_CLUSTER_KEY (Fernet: AES-128 in CBC mode, with an HMAC), each by a key of
its name, so that one can't stand in another's place.
"""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pipeline.common.errors import SunledgerError
from pipeline.common.files.regular_files import list_regular_names
from pipeline.common.settings import Settings
from pipeline.common.shared_session import SharedSession, SharedStoreError, open_shared_session
from pipeline.sma.auth.secret_files import (
    FOLDER,
    LOCK_WAIT_S,
    ROOM_BYTES,
    SecretFileError,
    lock_path,
    lock_path_async,
    prepare_credentials_folder,
    read_private,
    reserve_room,
    write_private,
)
from pipeline.sma.auth.shared_turn import SharedTurn
from pipeline.sma.clock import Clock

# Of files that are documents; beside them lie locks.
KINDS = {".json", ".key"}
Outcome = TypeVar("Outcome")


class PrivateDocument(Protocol):
    """One document that nobody else may read, replaced whole. `place` names it for people."""

    @property
    def place(self) -> str:
        """Where it is."""

    def read(self) -> bytes | None:
        """The content, None when there is none. Raises SecretFileError or SharedStoreError."""

    def write(self, content: bytes) -> None:
        """Replace the content durably."""

    def replace(self, before: bytes | None, content: bytes) -> bool:
        """Replace the content durably where it is still what was read before; whether that was so.

        For what must be right even where a lock was lost: a server that is started again takes it away without a word.
        """

    def lock(self) -> AbstractContextManager[None]:
        """The right to write it, held by one process and thread at a time."""

    def lock_async(self, clock: Clock) -> AbstractAsyncContextManager[None]:
        """`lock` for an event loop, which goes on while this waits."""

    def reserve_room(self) -> AbstractContextManager[Callable[[bytes], None]]:
        """What stores the next content, for which room is taken before."""

    def hold_room(self, size: int) -> AbstractContextManager[None]:
        """Keep room for a content of that many bytes, and some more, until it is about to be written without a lock."""


class PrivateFile:
    """A document in a file of mode 0600; its lock is a file beside it."""

    def __init__(self, home: Path, folder: str, name: str) -> None:
        self._home, self._folder, self._name = home, folder, name

    @property
    def path(self) -> Path:
        """The file; the folder of credentials is made when it is missing."""
        if self._folder == FOLDER:
            return prepare_credentials_folder(self._home) / self._name
        return self._home / self._folder / self._name

    @property
    def place(self) -> str:
        """The path."""
        return str(self.path)

    def read(self) -> bytes | None:
        """See PrivateDocument."""
        return read_private(self.path)

    def write(self, content: bytes) -> None:
        """See PrivateDocument."""
        write_private(self.path, content)

    def replace(self, before: bytes | None, content: bytes) -> bool:
        """See PrivateDocument. The lock of a file is the system's, which takes it from nobody."""
        if self.read() != before:
            return False
        self.write(content)
        return True

    def lock(self) -> AbstractContextManager[None]:
        """See PrivateDocument."""
        path = self.path
        path.parent.mkdir(parents=True, exist_ok=True)
        return lock_path(path.with_suffix(".lock"))

    def lock_async(self, clock: Clock) -> AbstractAsyncContextManager[None]:
        """See PrivateDocument."""
        return lock_path_async(self.path.with_suffix(".lock"), clock)

    @contextmanager
    def reserve_room(self) -> Iterator[Callable[[bytes], None]]:
        """See PrivateDocument."""
        with reserve_room(self.path) as room:
            yield room.put

    @contextmanager
    def hold_room(self, size: int) -> Iterator[None]:
        """See PrivateDocument."""
        with reserve_room(self.path, size + ROOM_BYTES):
            yield


class SharedDocument:
    """A document in PostgreSQL, encrypted."""

    def __init__(self, session: SharedSession, name: str, key: str) -> None:
        from cryptography.fernet import Fernet  # noqa: PLC0415 - an extra

        self._session, self._name = session, name
        derived = hmac.new(key.encode(), f"sunledger document {name}".encode(), hashlib.sha256).digest()
        self._cipher = Fernet(base64.urlsafe_b64encode(derived))

    @property
    def place(self) -> str:
        """The server and the name."""
        return f"{self._name} in {self._session.place}"

    def read(self) -> bytes | None:
        """See PrivateDocument."""

        def select(cursor: Any) -> bytes | None:
            cursor.execute("SELECT content FROM documents WHERE name = %s", [self._name])
            found = cursor.fetchone()
            return None if found is None else bytes(found[0])

        return self._decrypt(self._session.transact(select))

    def _decrypt(self, content: bytes | None) -> bytes | None:
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - an extra

        try:
            # Room that was reserved, and for which nothing came, holds no document.
            return None if content is None else bytes(self._cipher.decrypt(content)) or None
        except InvalidToken:
            raise SecretFileError(
                f"{self.place} can't be decrypted: set SUNLEDGER_CLUSTER_KEY to the key that it was stored with."
            ) from None

    def write(self, content: bytes) -> None:
        """See PrivateDocument."""
        encrypted = self._cipher.encrypt(content)

        def replace(cursor: Any) -> None:
            cursor.execute("SET LOCAL synchronous_commit TO on")
            cursor.execute(
                "INSERT INTO documents VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET content = "
                "excluded.content",
                [self._name, encrypted],
            )

        self._session.transact(replace)

    def replace(self, before: bytes | None, content: bytes) -> bool:
        """See PrivateDocument."""
        encrypted = self._cipher.encrypt(content)

        def replace(cursor: Any) -> bool:
            cursor.execute("SET LOCAL synchronous_commit TO on")
            # A row to lock, also where there is no document yet.
            empty = self._cipher.encrypt(b"")
            cursor.execute(
                "INSERT INTO documents VALUES (%s, %s) ON CONFLICT DO NOTHING", [self._name, empty]
            )
            cursor.execute("SELECT content FROM documents WHERE name = %s FOR UPDATE", [self._name])
            stored = self._decrypt(bytes(cursor.fetchone()[0]))
            # A transaction that is done again after an outage may find what it has stored itself.
            if stored not in (before, content):
                return False
            cursor.execute("UPDATE documents SET content = %s WHERE name = %s", [encrypted, self._name])
            return True

        return self._session.transact(replace)

    def lock(self) -> AbstractContextManager[None]:
        """See PrivateDocument."""
        return self._session.lock(self._name, LOCK_WAIT_S, self._build_busy_error)

    @asynccontextmanager
    async def lock_async(self, clock: Clock) -> AsyncIterator[None]:  # noqa: ARG002 - its waits are another thread's
        """See PrivateDocument. It holds also where PostgreSQL is started again and forgets its locks."""
        held = self.lock()
        turn = SharedTurn(self._session, self._name, LOCK_WAIT_S, self._build_busy_error)
        await asyncio.to_thread(held.__enter__)
        try:
            try:
                await asyncio.to_thread(turn.begin)
                yield
            finally:
                # Nobody waits for a server that is gone to hear that a login was renewed: others wait for the time.
                with suppress(SharedStoreError):
                    await asyncio.to_thread(turn.end)
        finally:
            await asyncio.to_thread(held.__exit__, None, None, None)

    @contextmanager
    def reserve_room(self) -> Iterator[Callable[[bytes], None]]:
        """See PrivateDocument; a server that can't be reached or written is noticed before."""
        self.write(self.read() or b"")
        yield self.write

    def hold_room(self, size: int) -> AbstractContextManager[None]:  # noqa: ARG002 - the server has room or has not
        """See PrivateDocument."""
        return nullcontext()

    def _build_busy_error(self) -> SunledgerError:
        return SecretFileError(
            f"Another process has held {self.place} for {LOCK_WAIT_S:g} s: stop that process, then run it again."
        )


def change_document(
    document: PrivateDocument,
    make: Callable[[bytes | None], tuple[bytes, Outcome]],
    tries: int,
    build_error: Callable[[str], SunledgerError],
) -> Outcome:
    """Replace the content by what `make` makes of the one that is there, and return what else it gives.

    A lock in PostgreSQL is gone once its server was started again. So nothing is written over what others have written
    meanwhile: it is made of that. Where others changed it each of so many times, raises what `build_error` makes of a
    clause that says so.
    """
    for _ in range(tries):
        before = document.read()
        content, outcome = make(before)
        if document.replace(before, content):
            return outcome
    raise build_error(f"{document.place} was changed by others {tries} times while this process wanted to")


def open_document(settings: Settings, name: str, folder: str = FOLDER) -> PrivateDocument:
    """The document of that name: a file in that folder of SUNLEDGER_HOME, or a row of PostgreSQL in a cluster."""
    session = open_shared_session(settings)
    if session is not None:
        return SharedDocument(session, f"{folder}/{name}", settings.cluster_key.get_secret_value())
    return PrivateFile(settings.home, folder, name)


def adopt_documents(settings: Settings, folders: Iterable[str]) -> int:
    """Store in PostgreSQL what files of this home hold and PostgreSQL lacks; how many. The files stay.

    So the logins and consents of one machine go with it into a cluster. Raises SecretFileError or SharedStoreError.
    """
    adopted = 0
    for folder in folders:
        for name in list_regular_names(settings.home / folder):
            file = settings.home / folder / name
            document = open_document(settings, name, folder)
            if file.suffix in KINDS and document.read() is None and (content := read_private(file)):
                document.write(content)
                adopted += 1
    return adopted
