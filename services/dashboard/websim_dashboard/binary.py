"""Layout of the WebSocket's binary frames; docs/dashboard.md describes it byte by byte.

Little-endian. The header's numbers stand here once; the page gets them in the generated types.
"""

MAGIC = 0x57
VERSION = 2
FIGURES = 1
POSE = 2

HEADER = "<BBBBIdIIHHfII"
"""magic, version, kind, 0, seq, time_ms, session, n, k, c, scale_m, first, count: see
docs/dashboard.md."""
HEADER_BYTES = 40
