"""Hints for the exercises of chapter 07, and hidden tests."""

HINTS = {
    "7.1": [
        "copies first; the group is the slice [k * n, (k + 1) * n]",
    ],
    "7.2": [
        "mean and var over the last two axes, with keepdims=True",
    ],
    "7.3": [
        "(critic(x + s) - critic(x - s)) / (2 s), then abs, minus 1, squared",
    ],
}
