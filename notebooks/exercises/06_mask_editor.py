"""Hints for the exercises of chapter 06, and hidden tests."""

HINTS = {
    "6.1": [
        "np.frombuffer, reshape to (-1, 3), np.repeat",
    ],
    "6.2": [
        "first the mirror image, stroke[:, ::-1], then the stroke; copy mask",
    ],
    "6.3": [
        "distances to all edited pixels at once: [H, W, edited pixels]",
    ],
}
