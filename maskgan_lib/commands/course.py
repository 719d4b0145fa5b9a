"""What is done with the library as it is: course, teach, render and bench."""

from maskgan_lib.commands.adding import SCHEMES, Command, at_least, given, place


def add(command: Command) -> None:
    option = command("course", _course, "Execute the notebooks in order and show what they measured.").add_argument
    option("notebooks", nargs="*", help="numbers, names or paths; all of them if none is named")
    kept = "for publishing: keep the measured times, or the executed notebooks too"
    option("--write-back", choices=("", "times", "notebooks"), default="", help=kept)

    summary = "For lecturers: student and instructor versions of the notebooks for nbgrader, and slides."
    option = command("teach", _teach, summary).add_argument
    option("notebooks", nargs="*", help="numbers, names or paths; all of them if none is named")
    option("--slides", action="store_true", help="also make slides, as make slides does")

    summary = "One edit from files: a face, its mask and the edited mask to a picture."
    option = command("render", _render, summary).add_argument
    option("--image", type=place, required=True, help="the face, cropped as in CelebA-HQ (see parse)")
    option("--mask", type=place, required=True, help="its label map, a PNG of class ids")
    option("--edited", type=place, required=True, help="the label map that the result should have")
    option("--out", type=place, required=True, help="picture to write, PNG or JPEG")
    option("--weights", type=place, help="of a DMN (default: the regional one, which ships)")
    option("--style", type=place, help="another face, whose looks the result should have")
    option("--style-mask", type=place, help="the label map of that face")
    option("--keep", type=float, help="how strongly the photo stays where nothing was edited, 0 to 1")
    option("--size", type=at_least(1), help="pixels a side (default: as the weights learnt)")
    option("--scheme", choices=SCHEMES, default=SCHEMES[0], help="whose class ids the label maps use")

    option = command("bench", _bench, "Measure faces, data, training and edits here, and memory.").add_argument
    option("--quick", action="store_true", help="a short run, for a first impression")
    option("--json", type=place, metavar="FILE", help="also write the figures to FILE")


def _course(options) -> int:
    from maskgan_lib.course.runner import run_course

    return run_course(**given(options))


def _teach(options) -> None:
    from maskgan_lib.course.teaching import write_teaching

    write_teaching(**given(options))


def _render(options) -> None:
    from maskgan_lib.editor.files import render_files

    print(render_files(**given(options)))


def _bench(options) -> None:
    from maskgan_lib.bench import run_bench

    run_bench(**given(options))
