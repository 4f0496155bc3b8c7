"""How often each piece of the vocabulary is met in a data set."""

import io
import tokenize

import numpy as np
from numpy.typing import NDArray

from xlnet import storage
from xlnet.corpus.manifest import Manifest
from xlnet.errors import UserError


def read(manifest: Manifest) -> NDArray[np.int64]:
    """The counts of a data set [vocabulary size]. Raises UserError when they are damaged, or of another vocabulary."""
    path, size = storage.join(manifest.directory, manifest.piece_counts), manifest.vocabulary["size"]
    try:
        counts = np.load(io.BytesIO(storage.read_bytes(path)))
    except (ValueError, EOFError, SyntaxError, tokenize.TokenError) as error:  # of NumPy's reader of headers
        raise UserError(f"{path} is damaged ({error}); preprocess again") from None
    if counts.dtype.kind not in "iu" or (counts < 0).any():
        raise UserError(f"{path} is damaged (it holds no counts); preprocess again")
    if counts.shape != (size,):
        raise UserError(f"{path} counts {counts.shape} pieces, the vocabulary has {size}; preprocess again")
    return counts
