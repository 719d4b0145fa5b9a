"""The command train."""

from collections import ChainMap

from maskgan_lib.commands.adding import Command, at_least, place
from maskgan_lib.presets import PRESETS, changed, preset_of
from maskgan_lib.registry import STAGES

DETAILS = """ A run that was interrupted or killed goes on from its last checkpoint with the same command and --resume,
and ends as if nothing had happened. Several GPUs share every batch: accelerate launch -m maskgan_lib train ...; several
processes on CPUs: torchrun --nproc-per-node 2 -m maskgan_lib train ... (networks with batch normalisation, which are
maskvae, spade, secgan on attgan and the judges, then see a process's share of it at a time)."""


def add(command: Command) -> None:
    summary = "Train one stage, or MaskGAN's three in order, on the train split of a packed folder."
    train = command("train", _train, summary, DETAILS)
    option = train.add_argument
    # The files of the stages are imported when somebody looks for one: other commands stay quick.
    stages = {"choices": ChainMap(STAGES, {"all": None}), "metavar": "stage"}
    option("stage", **stages, help="%(choices)s; all: maskvae, dmn and ebst, each in a folder of its name in OUT")
    option("--data", type=place, required=True, help="packed folder (see faces and prepare)")
    option("--out", type=place, required=True, help="folder of the run: its log, samples, checkpoints and weights")
    presets = f"{', '.join(PRESETS)}, or a .toml file (see maskgan_lib/presets.py)"
    option("--preset", default="laptop", help=f"widths, rates, batches and steps: {presets}")
    option("--steps", type=at_least(1), help="how many steps (default: the preset's)")
    option("--seed", type=at_least(0), default=0, help="of the first weights and of the order of the faces")
    option("--init", type=place, metavar="RUN", help="folder of another run, or weights file, to start from at step 0")
    option("--maskvae", type=place, metavar="FILE", help="the MaskVAE's weights, which ebst needs")
    examples = "dmn.style=regional, dmn.lr=1e-4, stargan.attributes=Smiling,Male, secgan.variant=concat"
    setting = {"action": "append", "default": [], "metavar": "SECTION.FIELD=VALUE"}
    option("--set", **setting, help=f"another value for a field of the preset (see maskgan_lib/presets.py): {examples}")
    layers = "whose layers and losses secgan takes (default: the preset's, stargan)"
    option("--backbone", choices=("stargan", "attgan"), help=layers)
    option("--parser", type=place, metavar="FILE", help="a parser of 12 classes, for secgan (but for its baseline)")
    option("--resume", action="store_true", help="go on with the run in OUT, if there is one (all: always)")

    speed = "Speed and memory. What is learnt stays the same up to rounding, and a resumed run may change them."
    option = train.add_argument_group("execution", speed).add_argument
    precision = "no: float32; fp16: on GPUs only (default: bf16 on a GPU that has it, else no)"
    option("--precision", choices=("no", "bf16", "fp16"), help=precision)
    parts = "do every batch in so many equal parts, for less memory; not with batch normalisation"
    option("--accumulate", type=at_least(1), default=1, metavar="PARTS", help=parts)
    option("--recompute", action="store_true", help="compute activations twice, for less memory")
    option("--tensorboard", action="store_true", help="also log for TensorBoard, in OUT/tensorboard")


def _train(options) -> None:
    from maskgan_lib.data.packed import PackedFaces
    from maskgan_lib.training.execution import Execution, hardware, processes, say
    from maskgan_lib.training.stage import TrainingError
    from maskgan_lib.training.stages import train_all, train_stage

    faces = PackedFaces.open(options.data)
    if options.backbone and options.stage != "secgan":
        raise TrainingError(f"--backbone is secgan's: leave it out with {options.stage}.")
    backbone = [f"secgan.backbone={options.backbone}"] if options.backbone else []
    try:
        preset = changed(preset_of(options.preset), [*options.set, *backbone])
    except ValueError as error:
        raise TrainingError(str(error)) from error
    say(f"{faces} on {processes()} x {hardware()}")
    execution = Execution(options.precision, options.accumulate, options.recompute, options.tensorboard)
    how = {"seed": options.seed, "execution": execution}
    of_one = {name: getattr(options, name) for name in ("steps", "init", "maskvae", "parser")}
    if options.stage != "all":
        train_stage(options.stage, preset, faces, options.out, resume=options.resume, **of_one, **how)
    elif any(of_one.values()):
        raise TrainingError("--steps, --init, --maskvae and --parser are for one stage: leave them out with all.")
    else:
        train_all(preset, faces, options.out, **how)
    say(f"weights: {' '.join(sorted(map(str, options.out.rglob('*.safetensors'))))}")
