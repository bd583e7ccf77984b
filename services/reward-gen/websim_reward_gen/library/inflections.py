"""What a word may be an inflection of: a closed list of English endings, no dictionary."""


def stems(word: str) -> set[str]:
    """Return the word and what it may be an inflection of: running -> run, gently -> gentle."""
    found = {word}
    for suffix, endings in (
        ("s", ("",)),
        ("es", ("",)),
        ("ies", ("y",)),
        ("ing", ("", "e")),
        ("ed", ("", "e")),
        ("er", ("", "e")),
        ("est", ("", "e")),
        ("ly", ("", "le")),
        ("ily", ("y",)),
    ):
        base = word.removesuffix(suffix)
        # "goes" is go, but "only" is not on
        if base != word and len(base) >= (2 if suffix in ("s", "es", "ing") else 3):
            found.update(base + ending for ending in endings)
            if len(base) > 3 and base[-1] == base[-2]:
                found.add(base[:-1])
    return found
