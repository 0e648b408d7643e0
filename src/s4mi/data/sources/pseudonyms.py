"""Pseudonyms of patients: HMAC-SHA256 of their identifiers with a secret key of the data set.

Without the key nobody can tell whose a pseudonym is, not even by trying all identifiers of a hospital. The key is a
file in the data set folder that only its owner may read; nothing exports it. Whoever gives the data set away leaves it
out: then later imports into the folder name the same patients anew.
"""

import hashlib
import hmac
import secrets
from pathlib import Path

from s4mi.errors import S4miError
from s4mi.records.atomic import make_private, write_text_atomically

KEY_NAME = ".pseudonym_key"
KEY_BYTES = 32
DIGITS = 32
"""Hexadecimal digits of a pseudonym, 128 bits."""


def pseudonym(identifier: str, key: bytes) -> str:
    """Return the pseudonym of an identifier."""
    return hmac.new(key, identifier.encode(), hashlib.sha256).hexdigest()[:DIGITS]


def pseudonym_key(folder: Path) -> bytes:
    """Return the key of the data set in `folder`, which is created if it has none.

    Raises:
        S4miError: the key is damaged.
        OSError: it cannot be written.
    """
    path = folder / KEY_NAME
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        make_private(folder)
        key = secrets.token_bytes(KEY_BYTES)
        write_text_atomically(path, key.hex(), private=True)
        return key
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise S4miError(f"{path}: damaged, so that pseudonyms would change; restore it, or import into another folder")
    return key
