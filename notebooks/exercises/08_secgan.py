"""Hints for the exercises of chapter 08, and hidden tests."""

HINTS = {
    "8.1": [
        "target minus source, one by one",
    ],
    "8.2": [
        "made.argmax(axis=0) picks a class; np.take_along_axis gets its share",
    ],
    "8.3": [
        "where before != after and not np.isin(mask, kept), take after",
    ],
}
