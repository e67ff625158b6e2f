"""FastAPI: an endpoint that runs code, and one that streams a job's output. ``uvicorn fastapi_app:app``"""

from typing import Any, AsyncIterator, Dict

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from mags import AsyncMags, MagsError

app = FastAPI()
mags = AsyncMags()


class Code(BaseModel):
    code: str


@app.on_event("shutdown")
async def close() -> None:
    await mags.close()


@app.exception_handler(MagsError)
async def failed(_: Request, error: MagsError) -> JSONResponse:
    return JSONResponse({"detail": error.message}, status_code=error.status_code or 502)


@app.post("/run")
async def run(body: Code) -> Dict[str, Any]:
    """Runs Python code to its end."""
    files = await mags.upload_files([("main.py", body.code.encode())])
    result = await mags.run_and_wait("python3 main.py", file_ids=files, ephemeral=True, script_timeout=30)
    return {"exit_code": result["exit_code"], "stdout": result["stdout"], "stderr": result["stderr"]}


@app.post("/jobs", status_code=202)
async def start(body: Code) -> Dict[str, Any]:
    return {"id": (await mags.run(body.code))["request_id"]}


@app.get("/jobs/{job}/output")
async def output(job: str) -> StreamingResponse:
    """What a job prints, as it prints it."""
    await mags.status(job)  # raises where there is none, before the answer begins

    async def lines() -> AsyncIterator[str]:
        async for item in mags.follow_logs(job):
            if item["type"] == "entry" and item["source"] != "system":
                yield item["message"] + "\n"

    return StreamingResponse(lines(), media_type="text/plain")
