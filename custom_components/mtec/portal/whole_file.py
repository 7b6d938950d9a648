"""A file that is there as a whole or not at all."""

from contextlib import suppress
import os
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self, TextIO


class WholeFile:
    """A new text file at `path`, written beside the old one and moved into its place by `commit`.

    The methods block, raise an OSError if the file cannot be written, and may be called from several threads.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.part")
        self._file: TextIO | None = None
        self._lock = Lock()

    def open(self) -> None:
        """Begin, in place of what a crash may have left."""
        with self._lock:
            self._partial.unlink(missing_ok=True)
            self._file = self._partial.open("x", encoding="utf-8", newline="")

    def write(self, text: str) -> None:
        """Append to the new file."""
        with self._lock:
            if self._file is not None:
                self._file.write(text)

    def commit(self) -> None:
        """Let the new file take the place of the old one."""
        with self._lock:
            if self._file is None:
                return
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.replace(self._path)
            self._file = None

    def discard(self) -> None:
        """Remove what is written and leave the old file as it is. Does nothing after a commit, and never fails."""
        with self._lock:
            if self._file is None:
                return
            file, self._file = self._file, None
            with suppress(OSError):
                file.close()
            with suppress(OSError):
                self._partial.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """Begin."""
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
