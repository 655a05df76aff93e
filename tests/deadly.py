"""An evaluator of a user's, which takes its process with it at one genome (test_crashes.py)."""

import os
import signal


def measure(genome):
    if genome.id == os.environ["DEADLY"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"score": int(genome.id, 16) / 16**12}
