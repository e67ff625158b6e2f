"""Commands and terminals that are talked to, in real machines."""

import asyncio
import time
import uuid
from typing import Any

import pytest

from mags import MagsError


def label(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def test_a_command_is_talked_to_with_its_outputs_input_size_and_end(live: Any) -> None:
    name = label("py-session")
    live.run_and_wait("true", name=name, persistent=True, timeout=60)
    mags = live.mags if hasattr(live, "mags") else live
    blocking = mags is live

    async def use(session: Any) -> Any:
        async def call(method: str, *args: Any) -> Any:
            answer = getattr(session, method)(*args)
            return answer if blocking else await answer

        said = {"stdout": b"", "stderr": b""}

        async def until(words: bytes) -> None:
            while words not in said["stdout"]:
                output = await call("read", 30)
                assert output is not None, said
                said[output[0]] += output[1]

        return call, until, said

    async def opened(*args: Any, **options: Any) -> Any:
        answer = mags.session(name, *args, **options)
        return answer if blocking else await answer

    async def talk() -> None:
        script = "echo err >&2; echo $A; read line; echo got $line; wc -c; exit 7"
        session = await opened(script, env={"A": "one"}, cwd="/tmp")
        call, until, said = await use(session)
        await until(b"one\n")
        await call("write", b"word\n")
        await until(b"got word\n")
        # More than may be under way at once.
        await call("write", b"x" * 1_000_000)
        await call("end")
        await until(b"1000000\n")
        end = await call("exit")
        assert (end["exit_code"], end["error"], said["stderr"]) == (7, None, b"err\n")
        assert await call("read") is None
        await call("close")
        with pytest.raises(MagsError, match="was left"):
            await call("resize", 80, 25)

        session = await opened(terminal=(100, 30))
        call, until, _ = await use(session)
        await call("write", b"stty size\n")
        await until(b"30 100")
        await call("resize", 77, 11)
        await call("write", b"stty size; exec sleep 4242\n")
        await until(b"11 77")
        with pytest.raises(MagsError, match="said nothing for 0.2 s"):
            while await call("read", 0.2):
                pass
        await call("close")

        session = await opened(["/no/such/program"])
        call, _, _ = await use(session)
        assert "no/such/program" in (await call("exit"))["error"]
        await call("close")
        with pytest.raises(MagsError) as refused:
            name_before = label("nobody")
            answer = mags.session(name_before)
            if not blocking:
                await answer
        assert refused.value.status_code == 404

    if blocking:
        asyncio.run(talk())
    else:
        live.loop.run_until_complete(talk())
    for _ in range(200):
        if live.exec(name, "pgrep -fx 'sleep 4242'")["exit_code"] == 1:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the command outlived its caller")
    live.stop(name)
