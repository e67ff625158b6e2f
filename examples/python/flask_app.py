"""Flask: an endpoint that runs code, and background jobs. ``flask --app flask_app run``"""

from flask import Flask, Response, jsonify, request

from mags import Mags, MagsError

app = Flask(__name__)
mags = Mags()


@app.errorhandler(MagsError)
def failed(error: MagsError):
    return jsonify(detail=error.message), error.status_code or 502


@app.post("/run")
def run():
    """Runs Python code to its end."""
    files = mags.upload_files([("main.py", request.get_json()["code"].encode())])
    result = mags.run_and_wait("python3 main.py", file_ids=files, ephemeral=True, script_timeout=30)
    return jsonify({key: result[key] for key in ("exit_code", "stdout", "stderr")})


@app.post("/jobs")
def start():
    return jsonify(id=mags.run(request.get_json()["code"])["request_id"]), 202


@app.get("/jobs/<job>/output")
def output(job: str):
    """What a job prints, as it prints it."""
    mags.status(job)  # raises where there is none, before the answer begins
    items = mags.follow_logs(job)
    lines = (f"{item['message']}\n" for item in items if item["type"] == "entry" and item["source"] != "system")
    return Response(lines, mimetype="text/plain")
