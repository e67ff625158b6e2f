from __future__ import annotations

import codecs
import re
from typing import Iterator, List, NamedTuple, Optional

LINE_END = re.compile(r"\r\n|\r|\n")


class Event(NamedTuple):
    event: str
    id: Optional[str]
    data: str


class EventParser:
    """Parses a stream of server-sent events (WHATWG HTML, section 9.2), however it is cut into chunks.

    An event that the stream ends within is never given, as the standard has it: whoever resumes gets it whole.
    """

    def __init__(self) -> None:
        self._lines = LineParser()
        self._kind = ""
        self._id: Optional[str] = None
        self._data: List[str] = []

    def feed(self, chunk: bytes) -> Iterator[Event]:
        for line in self._lines.feed(chunk):
            if line:
                self._field(line)
                continue
            if self._data:
                yield Event(self._kind or "message", self._id, "\n".join(self._data))
            self._kind, self._data = "", []

    def _field(self, line: str) -> None:
        field, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if field == "event":
            self._kind = value
        elif field == "data":
            self._data.append(value)
        elif field == "id" and "\0" not in value:
            self._id = value


class LineParser:
    """The lines of a UTF-8 stream; LF, CR and CRLF end one, also where a chunk ends between CR and LF."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        # Pieces of a line that has not ended are kept apart: joining them at every chunk would cost the square of its length.
        self._pieces: List[str] = []
        self._after_cr = False

    def feed(self, chunk: bytes) -> Iterator[str]:
        text = self._decoder.decode(chunk)
        if not text:
            return
        if self._after_cr and text[0] == "\n":
            text = text[1:]
        self._after_cr = text.endswith("\r")
        start = 0
        for end in LINE_END.finditer(text):
            self._pieces.append(text[start : end.start()])
            line, self._pieces = "".join(self._pieces), []
            yield line
            start = end.end()
        if start < len(text):
            self._pieces.append(text[start:])
