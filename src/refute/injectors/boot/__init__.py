"""Arms a program that knows nothing of Refute: put first on PYTHONPATH, `sitecustomize` joins the link before the program starts."""

import os
from collections.abc import Mapping
from pathlib import Path


def python_path(environ: Mapping[str, str] = os.environ) -> str:
    """Return the PYTHONPATH with which every Python process joins the link of its environment before its first line."""
    return os.pathsep.join(filter(None, [str(Path(__file__).parent / "path"), environ.get("PYTHONPATH", "")]))
