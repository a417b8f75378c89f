"""Files of tensors with a header of text, written whole or not at all."""

import json
import os
import tempfile

__all__ = ["read_file", "write_bytes", "write_file"]


def write_file(path, tensors, kind, header):
    """Write safetensors whose header has this text, as JSON, under this kind."""
    from safetensors.torch import save

    write_bytes(path, save(tensors, metadata={kind: json.dumps(header)}))


def write_bytes(path, data):
    """Write a file at once or not at all: a temporary one beside it, then renamed."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {path.parent}.")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def read_file(path, kind):
    """The header, a dict, and the tensors; a ValueError for a file that is damaged or of another kind."""
    from safetensors import SafetensorError, safe_open

    path.stat()  # FileNotFoundError, by its name
    try:
        with safe_open(path, framework="pt") as stream:
            header = dict(json.loads((stream.metadata() or {})[kind]))
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise ValueError(f"{path} is no file of {kind}, or is damaged: {type(error).__name__}: {error}.") from error
    return header, tensors
