"""What is measured of several methods on the same items: one value by training, method, measure, task and item.

The edits of one face are alike, so an item counts once: its values over tasks and drawings are averaged first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskgan_lib.evaluation.estimates import Estimate, Measure, mean_estimate, mean_known, over_trainings

ALL_TASKS = "all edits"


@dataclass(frozen=True, eq=False)
class Records:
    """Values of methods that were asked for the same tasks on the same items.

    Args:
        values: float ``[T, N, M, K, D, I]`` by training, method, measure, task, drawing of the task and item; NaN where
            one does not apply. Several trainings are the same methods trained from several seeds.
    """

    methods: tuple[str, ...]
    measures: tuple[Measure, ...]
    tasks: tuple[str, ...]
    values: np.ndarray

    @property
    def trainings(self) -> int:
        """How often the methods were trained."""
        return len(self.values)

    def of_items(
        self, method: str, measure: Measure, tasks: Sequence[str] | str = ALL_TASKS, minus: str | None = None
    ) -> np.ndarray:
        """Means over tasks and drawings by training and item, ``[T, I]``; NaN where nothing applies.

        With ``minus``, the difference to that method, item by item and training by training, where both have one.
        """
        values = self.values[:, self.methods.index(method), self.measures.index(measure)]
        if tasks != ALL_TASKS:
            chosen = (tasks,) if isinstance(tasks, str) else tasks
            values = values[:, [self.tasks.index(task) for task in chosen]]
        means = mean_known(values, axis=(1, 2))
        return means if minus is None else means - self.of_items(minus, measure, tasks)

    def mean(
        self, method: str, measure: Measure, tasks: Sequence[str] | str = ALL_TASKS, minus: str | None = None
    ) -> Estimate:
        """Over trainings and items of what ``of_items`` gives; the interval resamples items."""
        return mean_estimate(mean_known(self.of_items(method, measure, tasks, minus), axis=0))

    def over_trainings(self, method: str, measure: Measure, minus: str | None = None) -> Estimate:
        """The same mean over all tasks with trainings for the sample: Student's interval."""
        return over_trainings(mean_known(self.of_items(method, measure, minus=minus), axis=1))
