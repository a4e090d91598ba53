"""Files from the network: as they were published, from the first server that gives them so."""

import hashlib
import urllib.request
from collections.abc import Iterable
from http.client import HTTPException
from math import ceil
from urllib.error import HTTPError, URLError

from ufm.data.arrays import DataError
from ufm.progress import progress

PATIENCE = 30.0  # seconds in which a server is to send something
BLOCK = 1 << 20  # bytes


def fetch(addresses: Iterable[str], md5: str) -> bytes:
    """The content that has this md5 and stands at these addresses, which are tried in turn.

    Raises a DataError that says, in one line, what was wrong at each.
    """
    faults = []
    for address in addresses:
        try:
            content = answer(address)
        # A ValueError where an answer leads to what is no address.
        except (OSError, HTTPException, ValueError) as error:
            faults.append(f"{address}: {reason(error)}")
            continue
        if md5_of(content) == md5:
            return content
        faults.append(f"{address}: what came is not the published file")
    raise DataError("; ".join(faults))


def answer(address: str) -> bytes:
    """What a server sends for an address."""
    blocks = []
    with urllib.request.urlopen(urllib.request.Request(address), timeout=PATIENCE) as response:
        n_blocks = None if response.length is None else ceil(response.length / BLOCK)
        with progress(None, f"{address.rpartition('/')[2]}, MiB", total=n_blocks) as bar:
            while block := response.read(BLOCK):
                blocks.append(block)
                bar.update(1)
    return b"".join(blocks)


def reason(error: Exception) -> str:
    """Why there was no answer, in one line without what a server may have put into it."""
    if isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError):
        return f"nothing came for {PATIENCE:g} s"
    if isinstance(error, HTTPException):
        return f"its answer breaks off or is no HTTP ({type(error).__name__})"
    if isinstance(error, URLError) and not isinstance(error, HTTPError):
        error = error.reason if isinstance(error.reason, Exception) else OSError(error.reason)
    return " ".join(str(error).split()) or type(error).__name__


def md5_of(content: bytes) -> str:
    """The md5 by which published files are told, in hexadecimal."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
