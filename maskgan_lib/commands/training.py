"""The command train."""

from collections.abc import Iterator
from pathlib import Path

from maskgan_lib.commands.adding import Command
from maskgan_lib.presets import PRESETS, changed, preset_of
from maskgan_lib.registry import STAGES


class _Stages:
    """The stages by name, and "all". Their files are imported when somebody looks: other commands stay quick."""

    def __iter__(self) -> Iterator[str]:
        yield from (*STAGES, "all")

    def __contains__(self, name: str) -> bool:
        return name in (*STAGES, "all")


def add(command: Command) -> None:
    train = command(
        "train",
        _train,
        "Train one stage, or MaskGAN's three in order, on the train split of a packed folder.",
        " A run that was interrupted or killed goes on from its last checkpoint with the same command and --resume, and"
        " ends as if nothing had happened. Several GPUs share every batch: accelerate launch -m maskgan_lib train ...;"
        " several processes on CPUs: torchrun --nproc-per-node 2 -m maskgan_lib train ... (networks with batch"
        " normalisation, which are maskvae, spade, secgan on attgan and the judges, then see a process's share of it at"
        " a time).",
    )
    train.add_argument(
        "stage",
        choices=_Stages(),
        metavar="stage",
        help="what to train: one of %(choices)s; all: maskvae, dmn and ebst, each in a folder of its name in OUT",
    )
    train.add_argument("--data", type=Path, required=True, help="packed folder (see faces and prepare)")
    train.add_argument(
        "--out", type=Path, required=True, help="folder of the run: its log, samples, checkpoints and weights"
    )
    train.add_argument(
        "--preset",
        default="laptop",
        help=f"widths, rates, batches and steps: {', '.join(PRESETS)}, or a .toml file (see maskgan_lib/presets.py)",
    )
    train.add_argument("--steps", type=int, help="how many steps (default: the preset's)")
    train.add_argument("--seed", type=int, default=0, help="of the first weights and of the order of the faces")
    train.add_argument(
        "--init",
        type=Path,
        metavar="RUN",
        help="start from the networks of the run in this folder, or from this weights file; steps count from zero",
    )
    train.add_argument("--maskvae", type=Path, metavar="FILE", help="the MaskVAE's weights, which ebst needs")
    train.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.FIELD=VALUE",
        help="another value for a field of the preset (see maskgan_lib/presets.py): dmn.style=regional, dmn.lr=1e-4,"
        " dmn.style_mask=concat, stargan.attributes=Smiling,Male, parser.classes=12, secgan.variant=concat",
    )
    train.add_argument(
        "--backbone",
        choices=("stargan", "attgan"),
        help="whose layers and losses secgan takes (default: the preset's, stargan)",
    )
    train.add_argument(
        "--parser",
        type=Path,
        metavar="FILE",
        help="the weights of a parser of 12 classes, which secgan needs but for the variant baseline",
    )
    train.add_argument("--resume", action="store_true", help="go on with the run in OUT, if there is one (all: always)")
    how = train.add_argument_group(
        "execution",
        "Speed and memory. What is learnt stays the same up to rounding, and a resumed run may change them.",
    )
    how.add_argument(
        "--precision",
        choices=("no", "bf16", "fp16"),
        help="of the computation; no: float32, fp16: on GPUs only (default: bf16 on a GPU that has it, else no)",
    )
    how.add_argument(
        "--accumulate",
        type=int,
        default=1,
        metavar="PARTS",
        help="do every batch in so many equal parts, for less memory; not with batch normalisation",
    )
    how.add_argument("--recompute", action="store_true", help="compute activations twice, for less memory")
    how.add_argument("--tensorboard", action="store_true", help="also log for TensorBoard, in OUT/tensorboard")


def _train(options) -> None:
    from maskgan_lib.data.packed import PackedFaces
    from maskgan_lib.training.execution import Execution, hardware, processes, say
    from maskgan_lib.training.stage import TrainingError
    from maskgan_lib.training.stages import train_all, train_stage

    faces = PackedFaces.open(options.data)
    try:
        backbone = [] if options.backbone is None else [f"secgan.backbone={options.backbone}"]
        preset = changed(preset_of(options.preset), [*options.set, *backbone])
    except ValueError as error:
        raise TrainingError(str(error)) from error
    if options.backbone and options.stage != "secgan":
        raise TrainingError(f"--backbone is secgan's: leave it out with {options.stage}.")
    say(f"{faces} on {processes()} x {hardware()}")
    execution = Execution(options.precision, options.accumulate, options.recompute, options.tensorboard)
    if options.stage == "all":
        if options.steps or options.init or options.maskvae or options.parser:
            raise TrainingError("--steps, --init, --maskvae and --parser are for one stage: leave them out with all.")
        train_all(preset, faces, options.out, seed=options.seed, execution=execution)
    else:
        train_stage(
            options.stage,
            preset,
            faces,
            options.out,
            steps=options.steps,
            seed=options.seed,
            resume=options.resume,
            init=options.init,
            maskvae=options.maskvae,
            parser=options.parser,
            execution=execution,
        )
    say(f"weights: {' '.join(sorted(map(str, options.out.rglob('*.safetensors'))))}")
