"""Judge the files that a model names: kind by extension and content, size, pixels."""

import struct
from collections.abc import Iterable, Mapping

from websim.tasks.errors import TaskError

MAX_ASSETS = 64
MAX_ASSET_BYTES = 8 * 1024 * 1024
MAX_TOTAL_BYTES = 32 * 1024 * 1024
MAX_PIXELS_ACROSS = 4_096
_PNG = b"\x89PNG\r\n\x1a\n"
_EXTENSIONS = (".stl", ".obj", ".png")


def check_assets(files: Mapping[str, bytes], model_file: str, names: Iterable[str]) -> None:
    """Check that the assets `names` of `model_file` are among `files` and are what they say.

    Raises:
        TaskError: One line naming the file and what is wrong with it.
    """
    names = tuple(names)
    if len(names) > MAX_ASSETS:
        raise TaskError(f"names {len(names)} files; at most {MAX_ASSETS}", where=model_file)
    for name in names:
        if not name.lower().endswith(_EXTENSIONS):
            raise TaskError(
                f"is not of a kind that is read ({', '.join(_EXTENSIONS)})",
                where=f"{model_file}, file {name!r}",
            )
        if name not in files:
            raise TaskError("is not beside the model", where=f"{model_file}, file {name!r}")
        _check_content(name, files[name])
    if sum(len(files[name]) for name in names) > MAX_TOTAL_BYTES:
        raise TaskError(f"has assets of more than {MAX_TOTAL_BYTES} bytes", where=model_file)


def _check_content(name: str, content: bytes) -> None:
    if len(content) > MAX_ASSET_BYTES:
        raise TaskError(f"has more than {MAX_ASSET_BYTES} bytes", where=name)
    kind = name.lower().rsplit(".", 1)[-1]
    if kind == "png":
        if not content.startswith(_PNG) or len(content) < 24:
            raise TaskError("is not a PNG image", where=name)
        width, height = struct.unpack(">II", content[16:24])
        if not (0 < width <= MAX_PIXELS_ACROSS and 0 < height <= MAX_PIXELS_ACROSS):
            raise TaskError(
                f"has {width} x {height} pixels; at most {MAX_PIXELS_ACROSS} across", where=name
            )
    elif kind == "stl":
        if len(content) < 84 or struct.unpack("<I", content[80:84])[0] * 50 + 84 != len(content):
            raise TaskError("is not a binary STL mesh", where=name)
    elif b"\0" in content:
        raise TaskError("is not an OBJ mesh (text)", where=name)
