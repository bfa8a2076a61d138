"""Tokens to train on: the characters of a text, or files of GPT-2's tokens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
"""Source: nanoGPT's character model is trained on it. Public domain."""
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
"""Of its 1,115,394 characters."""
SMALL_TEXT = files("spak.kernels.nanogpt") / "rhyme-small.txt"
"""A few lines of our own, for tests and first tries."""
GPT2_VOCAB = 50_304
"""50,257 tokens, filled up to a multiple of 64. Source: nanoGPT."""
TRAINING_SHARE = 0.9
"""Of a text, from its beginning; the rest is for validation. Source: nanoGPT."""
TRAIN_FILE, VALIDATION_FILE = "train.bin", "val.bin"
_HASHED_BYTES = 1 << 20


@dataclass(frozen=True)
class TokenData:
    """Two stretches of tokens.

    Attributes:
        train: (N,) uint16.
        validation: (M,) uint16.
        vocab: No token is as large.
        characters: A character's place is its token; None where tokens are no characters.
        digest: Tells this data from other data.
    """

    train: np.ndarray
    validation: np.ndarray
    vocab: int
    characters: str | None
    digest: str

    def text(self, tokens: Iterable[int]) -> str:
        """The characters of `tokens`."""
        return "".join((self.characters or "")[token] for token in tokens)

    def batch(self, which: str, seeds: tuple[int, ...], batch: int, length: int) -> Any:
        """(2, batch, length) int32 torch tensor: tokens at places that `seeds` draw, and the token after each.

        Raises:
            ValueError: If a token is not in the vocabulary.
        """
        import torch

        tokens = getattr(self, which)
        starts = np.random.default_rng(seeds).integers(len(tokens) - length, size=batch)
        rows = np.stack([tokens[start : start + length + 1] for start in starts]).astype(np.int32)
        if int(rows.max()) >= self.vocab:
            raise ValueError(f"data: a token is {int(rows.max())}, and the vocabulary has {self.vocab}; set vocab")
        return torch.from_numpy(np.stack((rows[:, :-1], rows[:, 1:])))


def read_data(path: Path, context: int, vocab: int = 0) -> TokenData:
    """Characters of a text file, or the token files of a folder.

    Args:
        path: UTF-8 text; or a folder with `train.bin` and `val.bin`, raw uint16.
        context: Longest sequence that will be drawn.
        vocab: Tokens; 0: the characters there are, or GPT-2's.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no such data, too short, or has more characters than `vocab`.
    """
    found = _token_files(path, vocab or GPT2_VOCAB) if path.is_dir() else _characters(path, vocab)
    for which in ("train", "validation"):
        if len(getattr(found, which)) <= context:
            short = len(getattr(found, which))
            raise ValueError(f"data: {short} tokens for {which} in {path}; context {context} needs more than as many")
    return found


def _characters(path: Path, vocab: int) -> TokenData:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"data: {path} is not UTF-8 text ({error.reason} at byte {error.start})") from None
    characters = "".join(sorted(set(text)))
    if len(characters) > (vocab or np.iinfo(np.uint16).max):
        raise ValueError(f"vocab: {path} has {len(characters)} characters (got {vocab})")
    token = {character: index for index, character in enumerate(characters)}
    tokens = np.array([token[character] for character in text], np.uint16)
    split = int(len(tokens) * TRAINING_SHARE)
    return TokenData(tokens[:split], tokens[split:], vocab or len(characters), characters, sha256(content).hexdigest())


def _token_files(folder: Path, vocab: int) -> TokenData:
    train, validation = (_mapped(folder / name) for name in (TRAIN_FILE, VALIDATION_FILE))
    digest = sha256(repr((len(train), len(validation))).encode())
    for tokens in (train, validation):
        digest.update(tokens[: _HASHED_BYTES // 2].tobytes())
    return TokenData(train, validation, vocab, None, digest.hexdigest())


def _mapped(file: Path) -> np.ndarray:
    size = file.stat().st_size
    if size == 0 or size % 2:
        raise ValueError(f"data: {file} has {size} bytes; tokens are uint16, 2 bytes each")
    return np.memmap(file, np.uint16, mode="r")
