"""Files that are replaced whole: pictures, pages, weights, checkpoints, tables."""

import contextlib
import hashlib
import os
import time
import uuid
from pathlib import Path

STALE = 600.0  # seconds after which the process of an unfinished file is assumed dead


def replace_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace a file so that at every moment, even after a crash, the old or the new one is there."""
    target = regular_file(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {target.parent}; create it first")
    beginning = f".minigrad-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}-"
    temporary = target.with_name(f"{beginning}{uuid.uuid4().hex[:12]}.tmp")
    try:
        for unfinished in target.parent.glob(f"{beginning}*.tmp"):
            with contextlib.suppress(OSError):
                if time.time() - unfinished.stat().st_mtime > STALE:
                    unfinished.unlink()
        with open(temporary, "xb") as stream:
            if target.exists():
                temporary.chmod(target.stat().st_mode & 0o777)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            why = f"{error.strerror or error}; what was there before is untouched. Make room, or choose another folder"
            raise OSError(error.errno, f"cannot save {target}: {why}") from error
        raise
    with contextlib.suppress(OSError):  # Windows, and some file systems, cannot sync a folder
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def regular_file(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that is there, or that can be made; raise OSError for a folder, a device or a pipe."""
    file = Path(path)
    if file.is_dir():
        raise IsADirectoryError(f"{file} is a folder; give the name of a file in it")
    if file.exists() and not file.is_file():
        raise OSError(f"{file} is not a regular file, but a device or a pipe; give the name of a file")
    return file
