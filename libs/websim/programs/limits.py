"""Bounds that every program keeps; each is checked before it could cost anything."""

MAX_SOURCE_BYTES = 8192
"""Longest source text, comments included."""

MAX_BRACKET_DEPTH = 48
"""Deepest nesting of ( [ {, counted before the text is parsed."""

MAX_PREFIX_RUN = 48
"""Longest run of - + ~ not, counted before the text is parsed."""

MAX_NODES = 600
"""Most statements and expressions in the syntax tree."""

MAX_TREE_DEPTH = 100
"""Deepest syntax tree: the checker recurses over it and must not meet Python's own limit."""

MAX_STATEMENTS = 64
"""Most statements in the function, docstring and return included."""

MAX_ISSUES = 8
"""Issues reported for one source: enough to correct it in one go, short enough to read."""

MAX_COMPARED = 20_000
"""Most pairs of characters compared in search of the name that was meant: about 2 ms."""

MAX_LITERAL = 1e6
"""Largest magnitude of a number written in the source."""

NUMBER_RANGE = f"numbers go up to {MAX_LITERAL:,.0f} in magnitude"
"""The same for people."""

MAX_EXPONENT = 16
"""Largest magnitude of an exponent."""

MAX_INTEGER = 2**53
"""Largest integer that arithmetic on literals may reach: beyond it floats are no longer exact."""

MAX_COST = 4000
"""Weighted column operations of one call; one unit is about half a microsecond at 1024 rows."""

MAX_COMPONENTS = 32
"""Most named components of a reward."""

MAX_COMPONENT_NAME = 64
"""Longest name of a component."""

MAX_COLUMNS = 4096
"""Most columns of one field."""
