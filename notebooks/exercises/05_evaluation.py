"""Hints for the exercises of chapter 05, and hidden tests."""

HINTS = {
    "5.1": [
        "the diagonal entry over the sum of its row",
    ],
    "5.2": [
        "a.mean() and a.std(ddof=1) are all you need",
    ],
    "5.3": [
        "sum of ranks, minus n (n + 1) / 2, over n times m",
    ],
}
