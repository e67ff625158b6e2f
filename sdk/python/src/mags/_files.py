"""Files of the caller as parts of a multipart body."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import IO, Any, BinaryIO, Callable, Optional, Tuple, Union, cast

from ._errors import MagsError
from ._http import Parts

#: a path, or bytes or a binary file object with the name that it shall have
Upload = Union[str, "os.PathLike[str]", BinaryIO, Tuple[str, Union[bytes, BinaryIO]]]
#: called with the name of the file, the bytes sent so far and the bytes in all where they are known
Progress = Callable[[str, int, Optional[int]], None]


class Source:
    """One file to send; ``parts`` makes the body of one attempt, from where the file stood at first."""

    def __init__(self, name: str, file: BinaryIO, *, owned: bool, progress: Optional[Progress]) -> None:
        self.name = name
        self._file = file
        self._owned = owned
        self._progress = progress
        self.rewindable = file.seekable()
        self._start = file.tell() if self.rewindable else 0
        self._size = size_of(file) - self._start if self.rewindable else None

    @property
    def parts(self) -> Parts:
        return lambda: {"file": (self.name, self._rewound(), "application/octet-stream")}

    def close(self) -> None:
        if self._owned:
            self._file.close()

    def _rewound(self) -> IO[bytes]:
        if self.rewindable:
            self._file.seek(self._start)
        return cast("IO[bytes]", Counted(self))

    def read(self, size: int, sent: int) -> bytes:
        data = self._file.read(size)
        if not isinstance(data, bytes):
            raise MagsError(f"{self.name} gives text: open it in binary mode", code="bad_file")
        if self._progress and data:
            self._progress(self.name, sent + len(data), self._size)
        return data

    def length(self) -> int:
        if self._size is None:
            raise OSError("its length is not known")
        return self._size


class Counted:
    """The file as the HTTP library reads it: from where it stood, telling how far it is."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._sent = 0

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size, self._sent)
        self._sent += len(data)
        return data

    # Its length is asked for by seeking to the end and back.
    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._source.length() if whence == os.SEEK_END else offset

    def tell(self) -> int:
        return self._sent

    def __iter__(self) -> Any:
        while chunk := self.read(64 * 1024):
            yield chunk


def open_source(upload: Upload, name: Optional[str], progress: Optional[Progress]) -> Source:
    """Raises MagsError for what is no readable file."""
    if isinstance(upload, tuple):
        name, upload = name or upload[0], cast(Any, upload[1])
    if isinstance(upload, (str, os.PathLike)):
        path = Path(upload)
        try:
            file = path.open("rb")
        except OSError as cause:
            raise MagsError(f"cannot read {path}: {cause.strerror or cause}", code="bad_file") from cause
        return Source(name or path.name, file, owned=True, progress=progress)
    if isinstance(upload, (bytes, bytearray, memoryview)):
        return Source(named(name), io.BytesIO(upload), owned=True, progress=progress)
    if not hasattr(upload, "read"):
        kind = type(upload).__name__
        raise MagsError(f"a file to upload is a path, bytes or a binary file object, not {kind}", code="bad_file")
    given = getattr(upload, "name", None)
    given = os.path.basename(given) if isinstance(given, str) else None
    return Source(named(name or given), cast(BinaryIO, upload), owned=False, progress=progress)


def named(name: Optional[str]) -> str:
    if name:
        return name
    raise MagsError("the data has no name: pass name, or (name, data)", code="bad_file")


def size_of(file: BinaryIO) -> int:
    here = file.tell()
    try:
        return file.seek(0, os.SEEK_END)
    finally:
        file.seek(here)
