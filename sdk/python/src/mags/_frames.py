"""What goes over the connection of a session: frames of a type (one byte), a length (four, big endian) and so many bytes."""

from __future__ import annotations

import json
import struct
from typing import Any, Iterator, Tuple, Union

#: the types, by their number on the wire; see the session protocol of the server
TYPES = "open stdin stdin_end resize signal stdout stderr credit exit attach session".split()
DATA = ("stdin", "stdout", "stderr")
HEADER = struct.Struct(">BI")

Value = Union[bytes, Any]


def encode_frame(kind: str, value: Value) -> bytes:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return HEADER.pack(TYPES.index(kind), len(body)) + body


class FrameReader:
    """Reads frames from bytes as they come."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def read(self, data: bytes) -> Iterator[Tuple[str, Value]]:
        self._kept += data
        while len(self._kept) >= HEADER.size:
            number, length = HEADER.unpack_from(self._kept)
            end = HEADER.size + length
            if len(self._kept) < end:
                return
            body = bytes(self._kept[HEADER.size : end])
            del self._kept[:end]
            kind = TYPES[number]
            yield kind, body if kind in DATA else json.loads(body)
