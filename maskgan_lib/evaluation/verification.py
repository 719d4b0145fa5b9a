"""Do two pictures show the same person? Scores of pairs, the ROC curve, and the accuracy at a threshold.

The identity net gives every picture a unit vector; the score of a pair is the cosine between two of them, and a pair
counts as the same person from a threshold on.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from maskgan_lib.data.packed import DataError, PackedFaces
from maskgan_lib.evaluation.estimates import RESAMPLES, Figure, quantiles

HAIR_COLOURS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")

PAIRS = 2000
"""So many pairs of photos of one person, and of two, say how well persons are told apart."""


@dataclass(frozen=True, eq=False)
class Verification:
    """Scores of pairs of pictures of one person, ``same [S]``, and of two persons, ``different [D]``: cosines.

    ``ValueError`` if there is no pair of one kind, or a score that is not finite.
    """

    same: np.ndarray
    different: np.ndarray

    def __post_init__(self) -> None:
        if not len(self.same) or not len(self.different):
            raise ValueError(
                f"Verification needs pairs of both kinds: {len(self.same)} show one person, {len(self.different)} two."
            )
        if not np.isfinite(np.concatenate([self.same, self.different])).all():
            raise ValueError("Not all scores are finite numbers: look at the embeddings.")

    def __len__(self) -> int:
        return len(self.same) + len(self.different)

    def roc(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Share of the different pairs and of the same pairs that are taken for one person, and the thresholds.

        The first point is (0, 0): nobody is taken for the same. All are float64 ``[T]``, thresholds descending.
        """
        thresholds = np.unique(np.concatenate([self.same, self.different]))[::-1]
        wrong, right = (1 - _below(kind, thresholds) for kind in (self.different, self.same))
        return np.append(0, wrong), np.append(0, right), np.append(np.inf, thresholds)

    @cached_property
    def _wins(self) -> np.ndarray:
        """Whether a same pair scores higher than a different one, ``[S, D]``: 1, 0, or a half for a tie."""
        same = self.same[:, None]
        return (same > self.different) + np.float32(0.5) * (same == self.different)

    @property
    def auc(self) -> float:
        """Area under the ROC curve: how often a same pair scores higher than a different one (ties count half)."""
        return float(self._wins.mean(dtype=np.float64))

    def auc_interval(self) -> tuple[float, float]:
        """95 % bootstrap interval of ``auc``; same and different pairs are resampled, each kind for itself.

        Pairs that share a person are alike, so with few persons the true interval is wider.
        """
        rng = np.random.default_rng(0)
        drawn = [rng.multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(np.float32) / n for n in self._wins.shape]
        return quantiles(((drawn[0] @ self._wins) * drawn[1]).sum(axis=1))

    def accuracy(self, threshold: float) -> float:
        """Share of right answers if scores from ``threshold`` on mean "the same", both kinds weighing one half."""
        return float(((self.same >= threshold).mean() + (self.different < threshold).mean()) / 2)

    @property
    def best_accuracy(self) -> float:
        """The same at the threshold that suits these very pairs best: too good a value, the more so for few pairs."""
        return self.accuracy(choose_threshold(self.same, self.different))

    @property
    def halves_accuracy(self) -> float:
        """The same with the threshold of the other half of the pairs, mean of both ways; NaN for less than 2 of a kind.

        The halves are every second pair, so pairs should come in random order.
        """
        if min(len(self.same), len(self.different)) < 2:
            return float("nan")
        halves = [Verification(self.same[k::2], self.different[k::2]) for k in (0, 1)]
        return float(np.mean([a.accuracy(choose_threshold(b.same, b.different)) for a, b in (halves, halves[::-1])]))

    def fixed_accuracy(self, threshold: float | None) -> float:
        """At a threshold that other pairs gave; None: each half of the pairs takes that of the other half."""
        return self.halves_accuracy if threshold is None else self.accuracy(threshold)

    def figures(self, title: str) -> list[Figure]:
        """AUC with its interval, and the accuracies; n is the number of pairs."""
        other = "the threshold of the other half of the pairs"
        return [
            Figure(f"{title}, AUC", self.auc, "", len(self), self.auc_interval()),
            Figure(f"{title}, accuracy at the best threshold", self.best_accuracy, "", len(self)),
            Figure(f"{title}, accuracy at {other}", self.halves_accuracy, "", len(self)),
        ]


def choose_threshold(same: np.ndarray, different: np.ndarray) -> float:
    """The threshold with the highest ``Verification.accuracy`` on these scores, half-way to the next lower score.

    Of several equally good ones, the lowest. Measured on the pairs that it was chosen on, it looks better than it is.
    """
    scores = np.unique(np.concatenate([same, different]).astype(np.float64))
    best = int((_below(different, scores) - _below(same, scores)).argmax())
    lower = scores[max(best - 1, 0)]
    middle = (lower + scores[best]) / 2  # equal to lower if no number lies between
    return float(middle if middle > lower else scores[best])


def _below(kind: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The share of the scores below each threshold."""
    return np.searchsorted(np.sort(kind), thresholds) / len(kind)


def verify_edits(
    made_embeddings: np.ndarray, photo_embeddings: np.ndarray, identity: np.ndarray | None = None
) -> Verification:
    """Is a person still the same after an edit (the paper's Table 4)? Results and photos, unit vectors ``[P, E]``.

    Same pairs are a result and the photo it was made from, different ones a result and the photo of the next pair in
    the list; as many of both, unless ``identity``, int ``[P]`` with -1 for unknown, says that the next photo shows the
    same person: then this pair is left out. ``DataError`` if no two persons are there.
    """
    made, photos = (np.asarray(x, np.float64) for x in (made_embeddings, photo_embeddings))
    if made.shape != photos.shape or made.ndim != 2:
        raise ValueError(f"One embedding a picture is needed, not {list(made.shape)} and {list(photos.shape)}.")
    other = np.roll(np.arange(len(made)), -1)
    counts = other != np.arange(len(made))
    if identity is not None:
        counts &= (identity != identity[other]) | (identity < 0)
    if not counts.any():
        raise DataError("Verification compares persons: take at least two pairs, with targets of two persons.")
    return Verification((made * photos).sum(axis=1), (made * photos[other]).sum(axis=1)[counts])


def hair_colours(faces: PackedFaces) -> np.ndarray:
    """str ``[N]``: the attribute that names the hair colour; "" where none or several do."""
    named = [[name for name in HAIR_COLOURS if record.attributes.get(name, -1) > 0] for record in faces.records]
    return np.array([names[0] if len(names) == 1 else "" for names in named], str)


def verify_people(embeddings: np.ndarray, identity: np.ndarray, hair: np.ndarray | None = None) -> list[Figure]:
    """How well the identity net itself tells persons apart: ``Verification.figures`` over ``people_of`` these photos.

    With ``hair`` also over the pairs of one hair colour, which gives nothing away; no figures if there are none.
    ``DataError`` if no person is on two photos, or there is only one person.
    """
    verification = people_of(embeddings, identity)
    if verification is None:
        known = np.asarray(identity)[np.asarray(identity) >= 0]
        raise DataError(
            f"{len(np.unique(known))} persons on {len(known)} photos: verification needs two persons, and "
            "one who is on two photos. Take faces of which the persons are known."
        )
    alike = None if hair is None else people_of(embeddings, identity, hair)
    figures = [] if alike is None else alike.figures("identity verification, same hair colour")
    return verification.figures("identity verification") + figures


def people_of(embeddings: np.ndarray, identity: np.ndarray, hair: np.ndarray | None = None) -> Verification | None:
    """Pairs of photos of one person and of two, at most ``PAIRS`` of each; None where there is no pair of a kind.

    Args:
        embeddings: unit vectors ``[N, E]`` of photos.
        identity: int ``[N]``, the person; -1, unknown, is left out.
        hair: str ``[N]``, the hair colour, "" for unknown. Then both photos of a pair have the same one.
    """
    embeddings, identity = np.asarray(embeddings, np.float64), np.asarray(identity)
    allowed = np.triu((identity[:, None] >= 0) & (identity >= 0), k=1)
    if hair is not None:
        allowed &= (hair[:, None] == hair) & (hair != "")
    one, rng, scores = identity[:, None] == identity, np.random.default_rng(0), []
    for kind in (allowed & one, allowed & ~one):
        found = np.flatnonzero(kind)
        if not len(found):
            return None
        drawn = rng.permutation(rng.choice(found, min(PAIRS, len(found)), replace=False))
        rows, columns = np.divmod(drawn, len(identity))
        scores.append((embeddings[rows] * embeddings[columns]).sum(axis=1))
    return Verification(*scores)
