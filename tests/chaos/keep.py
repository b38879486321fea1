"""Keeps the mirror of examples/mirror.py, and prints it as one line of JSON for every line on standard input."""

import json
import os
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples"))
sys.dont_write_bytecode = True
from mirror import Mirror

answers, sys.stdout = sys.stdout, open(os.devnull, "w")
mirror = Mirror(sys.argv[1])
threading.Thread(target=mirror.run, daemon=True).start()
for _ in sys.stdin:
    try:
        print(json.dumps({"revision": mirror.revision, "sensors": list(mirror.sensors.values())}), file=answers, flush=True)
    except RuntimeError:  # it changes at this moment
        print(json.dumps({"revision": -1, "sensors": []}), file=answers, flush=True)
