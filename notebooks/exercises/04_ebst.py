"""Hints for the exercises of chapter 04, and hidden tests."""

HINTS = {
    "4.1": [
        "z plus, and z minus, (z_ref - z) / lam",
    ],
    "4.2": [
        "solve for alpha where the original lies between the two, then clamp",
    ],
    "4.3": [
        "first the mean of every face, then their spread",
    ],
}
