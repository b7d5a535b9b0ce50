"""A Python of its own in which unpickling is an error."""

import subprocess
import sys
from pathlib import Path

_NEVER = """
import pickle, sys
def never(*a, **k): raise AssertionError("unpickled")
pickle.load = pickle.loads = pickle.Unpickler = never
"""


def printed_without_unpickling(code: str, folder: Path) -> str:
    """What `code` prints with `folder` as its argument, and which of torch and OpenCV it imported."""
    code = _NEVER + code + "print(*({'torch', 'cv2'} & set(sys.modules)))\n"
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True)
    assert not done.stderr
    return done.stdout
