"""Hints for the exercises of chapter 02, and hidden tests."""

HINTS = {
    "2.1": [
        "each stage divides by 2: log2(size / 4), as an int",
    ],
    "2.2": [
        "the log-variance is 2 s; put it into Equation 4",
    ],
    "2.3": [
        "cos(omega) = a.b / (|a| |b|); a and b themselves stay as they are",
    ],
    "2.4": [
        "subtract (d.e / e.e) e",
    ],
}
