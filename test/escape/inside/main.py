"""python3 main.py FACTS GROUP…: makes the attempts of these groups."""

import sys

import kernel  # noqa: F401
import limits  # noqa: F401
import network  # noqa: F401
from attempt import FACTS, run

run(sys.argv[2:], FACTS["own_kernel"])
