from __future__ import annotations

from typing import Optional


class MagsError(Exception):
    """What a call of the client raises.

    ``status_code`` is the HTTP status, ``None`` where there was no answer; then ``code`` is one of ``timeout``,
    ``unreachable`` and ``malformed_answer``, or says what is wrong with the arguments.
    """

    def __init__(
        self,
        message: str,
        status_code: Optional[int] = None,
        *,
        code: Optional[str] = None,
        request_id: Optional[str] = None,
        hint: Optional[str] = None,
        field: Optional[str] = None,
        retry_after: Optional[float] = None,
        job_id: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code
        #: stable name of the error, such as ``not_found``
        self.code = code
        #: id of the request, under which the server's log has it
        self.request_id = request_id
        #: what to do about it
        self.hint = hint
        #: field of the request that was wrong
        self.field = field
        #: how long the server asks to wait, in seconds
        self.retry_after = retry_after
        #: the job that goes on although the call has ended
        self.job_id = job_id

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message
