"""Django in one file: an endpoint that runs code, and background jobs. ``python3 django_app.py runserver``"""

import json
import secrets
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.http import require_GET, require_POST

from mags import Mags, MagsError

settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_hex(32),
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    MIDDLEWARE=[f"{__name__}.MagsErrors"],
)
mags = Mags()


class MagsErrors:
    """Answers an error of Mags with its status and its sentence."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request: HttpRequest):
        return self.get_response(request)

    def process_exception(self, _: HttpRequest, error: Exception):
        if isinstance(error, MagsError):
            return JsonResponse({"detail": error.message}, status=error.status_code or 502)
        return None


@require_POST
def run(request: HttpRequest) -> JsonResponse:
    """Runs Python code to its end."""
    files = mags.upload_files([("main.py", json.loads(request.body)["code"].encode())])
    result = mags.run_and_wait("python3 main.py", file_ids=files, ephemeral=True, script_timeout=30)
    return JsonResponse({key: result[key] for key in ("exit_code", "stdout", "stderr")})


@require_POST
def start(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"id": mags.run(json.loads(request.body)["code"])["request_id"]}, status=202)


@require_GET
def output(_: HttpRequest, job: str) -> StreamingHttpResponse:
    """What a job prints, as it prints it."""
    mags.status(job)  # raises where there is none, before the answer begins
    items = mags.follow_logs(job)
    lines = (f"{item['message']}\n" for item in items if item["type"] == "entry" and item["source"] != "system")
    return StreamingHttpResponse(lines, content_type="text/plain")


urlpatterns = [path("run", run), path("jobs", start), path("jobs/<str:job>/output", output)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
