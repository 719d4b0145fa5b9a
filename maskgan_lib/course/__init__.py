"""What the notebooks and ``make`` use: the start of a chapter, pictures, checks of answers, and the run of them all."""

from maskgan_lib.course.chapter import CHAPTERS, Course, CourseError, start
from maskgan_lib.course.exercises import check, hint
