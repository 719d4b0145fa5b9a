"""The human study: raters see what methods made of the same faces, unlabelled, and choose, as in the paper.

>>> from maskgan_lib.evaluation.survey import Survey, SurveyItem
>>> Survey([SurveyItem("pair 1", target, source, {"DMN": a, "MaskGAN": b}, "Give her his smile.")],
...        answers="answers.csv", rater="Ada")
"""

from maskgan_lib.evaluation.survey.answers import Answer, read_answers
from maskgan_lib.evaluation.survey.session import CRITERIA, Question, SurveyItem, SurveySession
from maskgan_lib.evaluation.survey.widget import Survey

__all__ = ["CRITERIA", "Answer", "Question", "Survey", "SurveyItem", "SurveySession", "read_answers"]
