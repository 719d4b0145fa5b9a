"""Solutions of chapter 05. Try first, then read."""

import numpy as np


def recall(matrix, k):
    """5.1: rows are the truth."""
    return matrix[k, k] / matrix[k].sum()


def frechet_in_one_dimension(a, b):
    """5.2: the root of the product of two variances is that of the s."""
    spread = a.std(ddof=1) - b.std(ddof=1)
    return (a.mean() - b.mean()) ** 2 + spread**2


def auc_by_ranks(same, different):
    """5.3: Mann and Whitney's statistic, ties at their mean rank."""
    scores = np.sort(np.concatenate([same, different]))
    first = np.searchsorted(scores, same, "left") + 1
    last = np.searchsorted(scores, same, "right")
    beaten = ((first + last) / 2).sum() - len(same) * (len(same) + 1) / 2
    return beaten / (len(same) * len(different))
