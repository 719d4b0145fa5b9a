"""Hints for the exercises of chapter 03, and hidden tests."""

HINTS = {
    "3.1": [
        "AdaIN divides by sqrt(var + 1e-5): undo it",
    ],
    "3.2": [
        "from the last layer back: side = (side - 1) * stride + kernel",
    ],
    "3.3": [
        "normalise once, then mix weight and bias maps by the region",
    ],
}
