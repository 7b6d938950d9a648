"""A text file that appears complete or not at all."""

from contextlib import suppress
import os
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self, TextIO

# Home Assistant's write_utf8_file_atomic takes the whole text at once, so memory would grow with the export. Its
# AtomicWriter can stream, but a crash leaves a temporary file with a random name that no later export removes, the
# finished file is readable by its owner alone, and the command line runs where it is not installed.


class AtomicFile:
    """A new text file at `path`, written to a temporary file beside it that `commit` moves into place.

    The methods block, raise an OSError if the file cannot be written, and may be called from several threads.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.part")
        self._file: TextIO | None = None
        self._lock = Lock()

    def open(self) -> None:
        """Create the temporary file, and remove one that a crash has left."""
        with self._lock:
            self._partial.unlink(missing_ok=True)
            self._file = self._partial.open("x", encoding="utf-8", newline="")

    def write(self, text: str) -> None:
        """Append to the new file."""
        with self._lock:
            if self._file is not None:
                self._file.write(text)

    def commit(self) -> None:
        """Replace the old file with the new one."""
        with self._lock:
            if self._file is None:
                return
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.replace(self._path)
            self._file = None

    def discard(self) -> None:
        """Remove the temporary file and keep the old file. Does nothing after a commit, and never raises."""
        with self._lock:
            if self._file is None:
                return
            file, self._file = self._file, None
            with suppress(OSError):
                file.close()
            with suppress(OSError):
                self._partial.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """Create the temporary file."""
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit, or discard after an exception."""
        try:
            if error is None:
                self.commit()
        finally:
            self.discard()
