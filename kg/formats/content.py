"""Bytes and JSON of a foreign file, which may be gzipped, truncated or hostile, and how one is refused: in one clear line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NoReturn, TypeVar

import msgspec

from spak.kg.errors import InvalidFilesError, Problem
from spak.kg.files import reading
from spak.kg.files.json_keys import check_keys
from spak.kg.files.loader import MAX_RUN_BYTES

MAX_BYTES = MAX_RUN_BYTES
"""Largest content read, after decompression: some six times the largest file of the public benchmark hub."""

_MAX_READ_SLOWLY = 1 << 26
"""Most bytes given to the standard library's reader, which takes up to twenty times as much memory as it is given."""

_GZIP_MAGIC = b"\x1f\x8b"

_T = TypeVar("_T")


def refuse(path: Path, message: str, *, field: str = "", line: int = 0, column: int = 0) -> NoReturn:
    """Raise the error that says why `path` cannot be used.

    Raises:
        InvalidFilesError: Always.
    """
    raise InvalidFilesError([Problem(path=str(path), line=line, column=column, field=field, message=message)])


def read_bytes(path: Path) -> bytes:
    """The content of `path`, decompressed if it is gzip (by its first bytes, not by its name).

    Raises:
        InvalidFilesError: If it is no plain file, empty, truncated, corrupt, or larger than `MAX_BYTES`.
        OSError: If it cannot be opened.
    """
    content = reading.content(path, MAX_BYTES)
    if content.startswith(_GZIP_MAGIC):
        content = reading.unpacked(path, content, MAX_BYTES)
    if not content or content.isspace():
        refuse(path, "empty; nothing to read")
    return content


def decode(path: Path, content: bytes, kind: type[_T]) -> _T:
    """`content` as `kind`.

    Raises:
        InvalidFilesError: If it is not JSON (with line and column), has a key twice in one object, or is not of that
            form (with the place in it).
    """
    check_keys(content, path)
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        _refuse_form(path, error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # the standard library says where, and reads the NaN and Infinity that Python's own writer emits
    return _decode_slowly(path, content, kind)


def _decode_slowly(path: Path, content: bytes, kind: type[_T]) -> _T:
    if len(content) > _MAX_READ_SLOWLY:
        refuse(
            path, f"not JSON, or with NaN or Infinity in more than {_MAX_READ_SLOWLY} bytes; fetch it again or split it"
        )
    try:
        plain = json.loads(content)
    except UnicodeDecodeError as error:
        refuse(path, f"not text: {error.reason} at byte {error.start}; expected JSON")
    except json.JSONDecodeError as error:
        end = error.pos >= len(content.decode(errors="replace").rstrip()) or "Unterminated" in error.msg
        what = "truncated: the JSON ends early" if end else f"not JSON: {error.msg}"
        refuse(path, f"{what}; fetch the file again", line=error.lineno, column=error.colno)
    except RecursionError:
        refuse(path, "nested too deeply to be a result file")
    except ValueError as error:
        refuse(path, f"not a result file: {error}")
    try:
        return msgspec.convert(plain, type=kind)
    except msgspec.ValidationError as error:
        _refuse_form(path, error)
    except UnicodeEncodeError:
        refuse(path, "text with half a surrogate pair, which is no character; fetch the file again")


def _refuse_form(path: Path, error: msgspec.ValidationError) -> NoReturn:
    message, _, place = str(error).partition(" - at `")
    refuse(path, message, field=place.rstrip("`").removeprefix("$."))
