"""Hints for the exercises of chapter A1, and hidden tests."""

HINTS = {
    "A1.1": [
        "real things now come by with density share * p",
    ],
    "A1.2": [
        "the mean of (z - mu_2)^2 is (mu_1 - mu_2)^2 + exp(s_1)",
    ],
}
