# SPDX-License-Identifier: Apache-2.0
"""ssl for simulated programs: CPython's own SSLSocket over a simulated socket.

SSLSocket is Python code around one C object, `_ssl._SSLSocket`, which reads and writes a descriptor of the machine.
TlsObject stands in its place: OpenSSL works on two memory BIOs, and TlsObject carries the bytes between them and the
simulated socket, with the socket's time-out, and with OpenSSL's way of doing so: it reads one record's header, then its
body, and no byte more (so that select() and poll() speak of what the program has not read), and writes one record at a
time. Everything else (accept on a wrapped listener, ragged ends, sendfile, unwrap) is CPython's code, unchanged.

asyncio needs none of this: it has memory BIOs of its own. What OpenSSL draws (keys, nonces) is the machine's randomness, and
certificates are judged by the machine's date: with Ed25519 or RSA keys the packets of equal seeds have equal sizes and times,
not equal bytes.
"""
from __future__ import annotations

import posix
import ssl
from _thread import allocate_lock  # by name: it never parks a task
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from weakref import ref

from linnet.kernel.poll import POLLIN, POLLOUT
from linnet.program import calls as sys
from linnet.program.runtime import FIRST_FD, current_program, current_task
from linnet.program.sockets import SimSocket, twin

HEADER = 5  # bytes of a TLS record's header; the last two are the length of what follows
real_create = ssl.SSLSocket._create.__func__  # type: ignore[attr-defined]
real_set_default_verify_paths = ssl.SSLContext.set_default_verify_paths
real_wrap_socket = ssl.SSLContext._wrap_socket  # type: ignore[attr-defined]


def create(cls: type[ssl.SSLSocket], sock: Any, *args: Any, **kwargs: Any) -> Any:
    """SSLSocket._create: for a simulated socket (or what wraps one), an instance of the same class over SimSocket."""
    return real_create(twin(cls) if sock.fileno() >= FIRST_FD else cls, sock, *args, **kwargs)


def wrap_socket(context: ssl.SSLContext, sock: Any, server_side: bool, server_hostname: str | None = None, *,
                owner: Any = None, session: Any = None) -> Any:
    """SSLContext._wrap_socket: what an SSLSocket calls to get its TLS object."""
    if isinstance(sock, SimSocket):
        return TlsObject(context, sock, server_side, server_hostname, owner, session)
    return real_wrap_socket(context, sock, server_side, server_hostname, owner=owner, session=session)


def set_default_verify_paths(context: ssl.SSLContext) -> None:
    """SSLContext.set_default_verify_paths: OpenSSL asks C's environment, where the program's is put for this moment."""
    if current_task() is None:
        real_set_default_verify_paths(context)
        return
    program = current_program()
    put_environment(program.environ)
    try:
        real_set_default_verify_paths(context)
    finally:
        put_environment(program.runtime.real_environ)


def put_environment(environ: Mapping[str, str]) -> None:
    """Give C what environ says of where OpenSSL finds certificates."""
    for name in ('SSL_CERT_FILE', 'SSL_CERT_DIR'):
        value = environ.get(name)
        if value is None:
            posix.unsetenv(name)
        else:
            posix.putenv(name, value)


def lost(sock: SimSocket | None) -> SimSocket:
    """The socket, where it is still there."""
    if sock is None or sock.fileno() < 0:
        raise ssl.SSLError(ssl.SSL_ERROR_SYSCALL, 'Underlying socket connection gone')
    return sock


class TlsObject:
    """As _ssl._SSLSocket: what SSLSocket keeps in its `_sslobj`."""

    def __init__(self, context: ssl.SSLContext, sock: SimSocket, server_side: bool, server_hostname: str | None,
                 owner: Any, session: Any) -> None:
        self._sock = ref(sock)  # sock holds this object
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl: Any = context._wrap_bio(  # type: ignore[attr-defined]
            self._incoming, self._outgoing, server_side, server_hostname, owner=owner, session=session)
        self._header = b''  # of the record that is being read
        self._body = 0  # bytes of it that are still to come
        self._unsent = bytearray()  # records that OpenSSL wrote and the socket did not take yet
        self._unit = 0  # bytes of it that belong to the write that was begun
        self._openssl = allocate_lock()  # real threads take turns in OpenSSL, whose calls never wait
        self._flushing = allocate_lock()  # held by who is sending them now
        self._data = False  # the handshake is over: one record a write
        self._accepted = False  # OpenSSL has the data of the write that is being made
        self._retry: int | None = None  # length of the data whose write would have blocked

    # -- between the BIOs and the socket

    def _run(self, call: Any, what: str, *args: Any) -> Any:
        """Make a call of OpenSSL's, carrying bytes for as long as it asks for them. what: for the time-out's message."""
        sock = lost(self._sock())
        deadline = sock._deadline()
        while True:
            try:
                self._flush(sock, deadline, what)
                with self._openssl:
                    result = call(*args)
            except ssl.SSLWantReadError:
                self._flush(sock, deadline, what)
                if not self._feed(sock, deadline, what):
                    raise
            except ssl.SSLWantWriteError:
                raise
            except ssl.SSLError:
                with suppress(OSError):
                    self._flush(sock, deadline, what)  # the alert
                raise
            else:
                self._flush(sock, deadline, what)
                return result

    def _feed(self, sock: SimSocket, deadline: int | None, what: str) -> bool:
        """Read the next piece of a record; False where a non-blocking socket has nothing."""
        want = self._body or HEADER - len(self._header)
        try:
            data: bytes = sock._call(deadline, POLLIN, sys.sys_recvfrom, want, 0)[0]
        except BlockingIOError:
            return False
        except TimeoutError as exc:
            raise exc if exc.errno else TimeoutError(f'The {what} operation timed out') from None
        if not data:
            self._incoming.write_eof()
        elif self._body:
            self._body -= len(data)
            self._incoming.write(data)
        else:
            self._header += data
            if len(self._header) == HEADER:
                self._body = int.from_bytes(self._header[3:], 'big')
                self._incoming.write(self._header)
                self._header = b''
        return True

    def _flush(self, sock: SimSocket, deadline: int | None, what: str) -> None:
        """Send what OpenSSL wrote. SSLWantWriteError where a non-blocking socket does not take all of it; a read goes on."""
        while self._outgoing.pending or self._unsent:
            if not self._flushing.acquire(blocking=False):
                return  # a thread that writes is waiting for room in the socket: it sends these, too
            try:
                if not self._send_records(sock, deadline, what):
                    return
            finally:
                self._flushing.release()

    def _send_records(self, sock: SimSocket, deadline: int | None, what: str) -> bool:
        """The same, by who does it: False where the socket takes no more now."""
        try:
            while self._outgoing.pending or self._unsent:
                self._unsent += self._outgoing.read()
                self._unit = self._unit or self._first_write()
                record = bytes(self._unsent[:self._unit])
                sent = sock._call(deadline, POLLOUT, sys.sys_sendto, record, 0, None)
                del self._unsent[:sent]
                self._unit -= sent
            return True
        except BlockingIOError:
            if what != 'read':
                raise ssl.SSLWantWriteError(
                    ssl.SSL_ERROR_WANT_WRITE, 'The operation did not complete (write)') from None
            return False
        except TimeoutError as exc:
            raise exc if exc.errno else TimeoutError(f'The {what} operation timed out') from None

    def _first_write(self) -> int:
        """How much of _unsent goes into one write: a record, or a whole flight of the handshake."""
        if not self._data or len(self._unsent) < HEADER:
            return len(self._unsent)
        return HEADER + int.from_bytes(self._unsent[3:HEADER], 'big')

    # -- data

    def do_handshake(self) -> None:
        """Shake hands."""
        self._run(self._ssl.do_handshake, 'handshake')

    def read(self, len: int, buffer: Any = None) -> Any:
        """Up to len bytes, or into a buffer, where 0 means all of it. b'' and 0 when the peer has closed the TLS stream."""
        if buffer is None:
            return self._run(self._ssl.read, 'read', len)
        return self._run(self._ssl.read, 'read', len, buffer)

    def write(self, data: Any) -> int:
        """Encrypt and send. After SSLWantWriteError, the same data must be written again: OpenSSL's rule."""
        size = memoryview(data).nbytes
        sock = lost(self._sock())
        if self._retry is not None and self._retry != size:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, '[SSL: BAD_WRITE_RETRY] bad write retry')
        self._accepted = self._retry is not None
        try:
            if self._accepted:
                self._flush(sock, sock._deadline(), 'write')
            elif size:
                self._run(self._encrypt, 'write', data)
            self._retry = None
        except ssl.SSLWantWriteError:
            self._retry = size if self._accepted else None
            raise
        return size

    def _encrypt(self, data: Any) -> None:
        self._ssl.write(data)
        self._accepted = self._data = True

    def pending(self) -> int:
        """Bytes that are decrypted and unread."""
        return int(self._ssl.pending())

    def shutdown(self) -> Any:
        """Say close_notify, wait for the peer's, return the socket."""
        self._run(self._ssl.shutdown, 'read')
        return self._sock()

    def verify_client_post_handshake(self) -> None:
        """Ask a client for its certificate after the handshake (TLS 1.3)."""
        self._run(self._ssl.verify_client_post_handshake, 'write')

    # -- what it is

    @property
    def context(self) -> ssl.SSLContext:
        """The context; a server's SNI callback may set another."""
        found: ssl.SSLContext = self._ssl.context
        return found

    @context.setter
    def context(self, context: ssl.SSLContext) -> None:
        self._ssl.context = context

    @property
    def session(self) -> Any:
        """The session, to be resumed by a later connection."""
        return self._ssl.session

    @session.setter
    def session(self, session: Any) -> None:
        self._ssl.session = session

    @property
    def session_reused(self) -> bool:
        """Was an older session resumed?"""
        return bool(self._ssl.session_reused)

    @property
    def server_side(self) -> bool:
        """Is this the server's end?"""
        return bool(self._ssl.server_side)

    @property
    def server_hostname(self) -> str | None:
        """The name that was asked for."""
        name: str | None = self._ssl.server_hostname
        return name

    @property
    def owner(self) -> Any:
        """The SSLSocket."""
        return self._ssl.owner

    def getpeercert(self, der: bool = False) -> Any:
        """The peer's certificate, as a dict or as DER bytes."""
        return self._ssl.getpeercert(der)

    def get_verified_chain(self) -> Any:
        """The chain of certificates as it was verified."""
        return self._ssl.get_verified_chain()

    def get_unverified_chain(self) -> Any:
        """The chain of certificates as it was sent."""
        return self._ssl.get_unverified_chain()

    def selected_alpn_protocol(self) -> str | None:
        """What ALPN chose."""
        name: str | None = self._ssl.selected_alpn_protocol()
        return name

    def cipher(self) -> Any:
        """(name, protocol, secret bits) of the cipher in use."""
        return self._ssl.cipher()

    def shared_ciphers(self) -> Any:
        """The ciphers that both sides know."""
        return self._ssl.shared_ciphers()

    def compression(self) -> str | None:
        """The compression in use: none, nowadays."""
        name: str | None = self._ssl.compression()
        return name

    def version(self) -> str | None:
        """The protocol's version, such as 'TLSv1.3'."""
        name: str | None = self._ssl.version()
        return name

    def get_channel_binding(self, cb_type: str = 'tls-unique') -> bytes | None:
        """Bytes that only the two ends of this connection know."""
        found: bytes | None = self._ssl.get_channel_binding(cb_type)
        return found
