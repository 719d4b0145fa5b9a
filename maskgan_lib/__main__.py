"""python -m maskgan_lib: the course, the faces, the data set, training, evaluation and speed from the command line."""

import argparse
import sys
from pathlib import Path

from maskgan_lib.presets import PRESETS, changed


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code (0 well, 1 a problem that one sentence explains, 130 interrupted)."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except KeyboardInterrupt as interrupt:
        print(f"\n{interrupt}" if str(interrupt) else "\ninterrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if not _is_explained(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1


def _is_explained(error: Exception) -> bool:
    """Whether the message is meant for a user: the library's own errors, each one clear sentence."""
    from maskgan_lib.checkpoints import CheckpointError
    from maskgan_lib.course import CourseError
    from maskgan_lib.data.packed import DataError
    from maskgan_lib.training.stage import TrainingError

    return isinstance(error, (CheckpointError, CourseError, DataError, TrainingError))


class _Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Help that names a default where there is one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False, []) else super()._get_help_string(action)


def _adder(commands):
    """``command(name, run, summary)``: adds one to ``commands`` and returns its parser."""

    def command(name, run, summary, details=""):
        added = commands.add_parser(name, help=summary, description=summary + details, formatter_class=_Defaults)
        added.set_defaults(run=run)
        return added

    return command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m maskgan_lib", description="MaskGAN from the ground up.")
    command = _adder(parser.add_subparsers(metavar="command", required=True))
    _add_course(command)
    _add_data(command)
    _add_training(command)
    _add_evaluation(command)
    _add_render(command)
    bench = command("bench", _bench, "Measure faces, data, training and edits on this machine, and memory.")
    bench.add_argument("--quick", action="store_true", help="a short run, for a first impression")
    bench.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    return parser


def _add_course(command) -> None:
    course = command("course", _course, "Execute the notebooks in order and show what they measured.")
    course.add_argument("notebooks", nargs="*", help="numbers, names or paths; all of them if none is named")
    course.add_argument(
        "--write-back",
        choices=("", "times", "notebooks"),
        default="",
        help="for publishing: keep the measured times, or the executed notebooks too",
    )


def _add_data(command) -> None:
    faces = command("faces", _faces, "Draw procedural faces: a packed folder, or the layout of CelebAMask-HQ.")
    faces.add_argument("out", type=Path, help="folder to write")
    faces.add_argument("--count", type=int, default=2000, help="how many faces")
    faces.add_argument("--size", type=int, default=None, help="pixels a side (default: 128; 1024 with celebamask-hq)")
    faces.add_argument("--seed", type=int, default=0, help="another seed draws other people")
    faces.add_argument("--identities", type=int, default=None, help="how many people (default: one per face)")
    faces.add_argument("--layout", choices=("packed", "celebamask-hq"), default="packed")
    faces.add_argument("--workers", type=int, default=None, help="processes (default: one per core)")

    prepare = command(
        "prepare", _prepare, "Turn CelebAMask-HQ, or folders of images and label maps, into a packed folder."
    )
    prepare.add_argument("root", type=Path, help="CelebAMask-HQ, unpacked or its zip; with --labels a folder of images")
    prepare.add_argument("--out", type=Path, required=True, help="packed folder to write")
    prepare.add_argument("--size", type=int, default=512, help="pixels a side")
    prepare.add_argument("--labels", type=Path, default=None, help="a folder of label maps, one for each image of root")
    prepare.add_argument(
        "--scheme",
        choices=("celebamask-hq", "bisenet", "facesynthetics", "lapa", "helen"),
        default="celebamask-hq",
        help="whose class ids the label maps of --labels use",
    )
    prepare.add_argument("--keep-going", action="store_true", help="leave bad faces out and list them in a file")
    prepare.add_argument("--limit", type=int, default=None, help="only the first so many faces of CelebAMask-HQ")
    prepare.add_argument("--exclude-known-bad", action="store_true", help="leave out the faces known to be wrong")
    prepare.add_argument("--workers", type=int, default=None, help="processes (default: one per core)")

    parse = command(
        "parse",
        _parse,
        "Cut the face out of a photo as CelebA-HQ does, and make its label map.",
        " The parser that ships knows procedural faces only: look at the label map before you use it.",
    )
    parse.add_argument("photo", type=Path, help="a picture file")
    parse.add_argument("--out", type=Path, required=True, help="folder for image.png and labels.png")
    parse.add_argument("--size", type=int, default=512, help="pixels a side of the crop")
    parse.add_argument(
        "--points",
        nargs=4,
        type=_point,
        default=None,
        metavar="X,Y",
        help="two eyes, then two corners of the mouth, in pixels of the photo (default: the parser looks for them)",
    )
    parse.add_argument("--parser", type=Path, default=None, metavar="FILE", help="weights (default: those that ship)")

    download = command("download", _download, "Fetch CelebAMask-HQ (3 GB, for non-commercial research).")
    download.add_argument("folder", type=Path, help="folder to keep it in")


def _point(text: str) -> tuple[float, float]:
    x, y = map(float, text.split(","))  # a ValueError makes argparse name the argument
    return x, y


def _add_training(command) -> None:
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
        choices=(
            *("maskvae", "dmn", "ebst", "pix2pixhd-m", "spade", "stargan", "elegant", "secgan"),
            *("parser", "attributes", "identity", "pose", "selfsupervised", "all"),
        ),
        help="what to train; all: maskvae, dmn and ebst, each in a folder of its name in OUT",
    )
    train.add_argument("--data", type=Path, required=True, help="packed folder (see faces and prepare)")
    train.add_argument(
        "--out", type=Path, required=True, help="folder of the run: its log, samples, checkpoints and weights"
    )
    train.add_argument("--preset", choices=tuple(PRESETS), default="laptop", help="widths, rates, batches and steps")
    train.add_argument("--steps", type=int, default=None, help="how many steps (default: the preset's)")
    train.add_argument("--seed", type=int, default=0, help="of the first weights and of the order of the faces")
    train.add_argument(
        "--init",
        type=Path,
        default=None,
        metavar="RUN",
        help="start from the networks of the run in this folder, or from this weights file; steps count from zero",
    )
    train.add_argument(
        "--maskvae", type=Path, default=None, metavar="FILE", help="the MaskVAE's weights, which ebst needs"
    )
    train.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="another value for a field of the preset (see maskgan_lib/presets.py): style_mask=concat, dmn_lr=1e-4,"
        " stargan_attributes=Smiling,Male, parser_classes=12, secgan_variant=concat",
    )
    train.add_argument(
        "--backbone",
        choices=("stargan", "attgan"),
        default=None,
        help="whose layers and losses secgan takes (default: the preset's, stargan)",
    )
    train.add_argument(
        "--parser",
        type=Path,
        default=None,
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
        default=None,
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


def _add_evaluation(command) -> None:
    evaluate = command("evaluate", None, "Measure weights, or an experiment, on the test split of a packed folder.")
    kind = _adder(evaluate.add_subparsers(metavar="what", required=True))
    generators = {"secgan-faces": "SeCGAN's generator of pictures", "secgan-masks": "SeCGAN's generator of masks"}
    judges = ("parser", "attributes", "identity", "pose", "selfsupervised")
    baselines = ("pix2pixhd-m", "spade", "stargan", "elegant")
    for network in ("maskvae", "dmn", "blender", *baselines, *generators, *judges):
        measure = kind(network, _evaluate, f"Measure weights of {generators.get(network, f'a {network}')}.")
        measure.set_defaults(network=network)
        measure.add_argument("--weights", type=Path, required=True, help="its .safetensors file")
        measure.add_argument("--data", type=Path, required=True, help="packed folder of faces that training never saw")
        measure.add_argument(
            "--publish",
            type=Path,
            metavar="FILE",
            help="also write the weights in half precision, with a model card beside them",
        )
        for other in ("dmn", "maskvae") if network == "blender" else ():
            measure.add_argument(f"--{other}", type=Path, required=True, metavar="FILE", help="weights to blend with")

    tables = kind(
        "tables", _tables, "The paper's tables, a row for each network and one for photos, its orderings beside ours."
    )
    tables.add_argument(
        "--data", type=Path, default=None, help="packed folder, its test split is used (default: faces drawn in OUT)"
    )
    tables.add_argument(
        "--out",
        type=Path,
        default=Path("build/evaluation"),
        help="folder of the lists of pairs, of what is graded already, and of tables.md and tables.csv",
    )
    tables.add_argument(
        "--networks", nargs="+", metavar="NAME=FILE", help="weights of networks to compare (default: those that ship)"
    )
    tables.add_argument(
        "--judges", type=Path, default=None, metavar="FOLDER", help="weights of the judges (default: those that ship)"
    )
    tables.add_argument(
        "--judge",
        action="append",
        default=[],
        metavar="ROLE=FILE",
        help="another parser, attributes, identity or pose net: weights of this library, or published ones as"
        " ROLE=NAME:FILE, NAME being one of maskgan-parser, attributes, arcface, facenet, hopenet",
    )
    tables.add_argument(
        "--pairs", type=int, default=None, help="pairs of each task at most (default: 400, 1000 and 1000)"
    )
    tables.add_argument("--seed", type=int, default=0, help="of the choice of pairs")
    tables.add_argument("--write-back", action="store_true", help="for publishing: put the tables into README.md")

    driven = kind(
        "attribute-edits", _attribute_edits, "Attributes given and taken by moved masks and by changed pictures."
    )
    driven.add_argument("--data", type=Path, required=True, help="packed folder: its test split is used")
    driven.add_argument(
        "--out",
        type=Path,
        default=Path("build/evaluation"),
        help="folder of attribute-edits.md and attribute-edits.csv",
    )
    driven.add_argument(
        "--networks",
        nargs="+",
        metavar="NAME=FILE",
        help="weights that render masks or change pictures (default: three that ship)",
    )
    driven.add_argument(
        "--masks", type=Path, default=None, metavar="FILE", help="weights that move masks (default: those that ship)"
    )
    driven.add_argument(
        "--judges", type=Path, default=None, metavar="FOLDER", help="weights of the judges (default: those that ship)"
    )
    driven.add_argument("--faces", type=int, default=100, help="how many faces of the test split, at most")

    ablation = kind(
        "ebst-ablation", _ebst_ablation, "Does EBST help? Train a DMN on with and without it; compare both on edits."
    )
    ablation.add_argument("--data", type=Path, required=True, help="packed folder: its train and test splits are used")
    ablation.add_argument("--out", type=Path, required=True, help="folder of the runs, table.md and table.csv")
    ablation.add_argument("--preset", choices=tuple(PRESETS), default="laptop")
    ablation.add_argument(
        "--dmn", type=Path, default=None, help="run folder or weights to start from (default: trained first)"
    )
    ablation.add_argument(
        "--maskvae", type=Path, default=None, metavar="FILE", help="the MaskVAE's weights (default: trained first)"
    )
    ablation.add_argument(
        "--judges",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="with parser.safetensors and attributes.safetensors (default: those that ship, or trained first)",
    )
    ablation.add_argument(
        "--networks",
        nargs="+",
        metavar="NAME=FILE",
        help="train nothing: compare these weights, the last with each of the others",
    )
    ablation.add_argument("--seeds", type=int, default=3, help="how many seeds, of the training and of the edits")
    ablation.add_argument("--faces", type=int, default=40, help="how many faces of the test split are edited")

    _add_secgan(kind)


def _add_secgan(kind) -> None:
    secgan = kind(
        "secgan",
        _secgan,
        "Does semantic consistency help? SeCGAN's table: its variants on two backbones, from several seeds.",
        " Each run has a folder in OUT: stargan-baseline/seed-0, attgan-secgan/seed-2, stargan-secgan-0.1/seed-0.",
    )
    secgan.add_argument("--data", type=Path, required=True, help="packed folder: its train and test splits are used")
    secgan.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder of the runs and of table.md, table.csv, table.json; runs that are finished there are kept",
    )
    secgan.add_argument("--preset", choices=tuple(PRESETS), default="laptop")
    secgan.add_argument(
        "--parser", type=Path, default=None, metavar="FILE", help="the weights of P, of 12 classes (default: trained)"
    )
    secgan.add_argument(
        "--variants", nargs="+", choices=("baseline", "concat", "secgan"), default=("baseline", "concat", "secgan")
    )
    secgan.add_argument("--backbones", nargs="+", choices=("stargan", "attgan"), default=("stargan", "attgan"))
    secgan.add_argument("--seeds", type=int, default=3, help="how many trainings of each")
    secgan.add_argument("--steps", type=int, default=None, help="of each training (default: the preset's)")
    secgan.add_argument(
        "--consistency",
        type=lambda text: text.split(","),
        default=[],
        metavar="W,W,...",
        help="also train SeCGAN on the first backbone with these weights of the consistency, a row each",
    )
    secgan.add_argument("--consistency-seeds", type=int, default=1, metavar="N", help="how many trainings of these")
    secgan.add_argument(
        "--precision",
        choices=("no", "bf16", "fp16"),
        default=None,
        help="of the trainings (default: bf16 on a GPU that has it, else no)",
    )
    secgan.add_argument("--publish", type=Path, default=None, metavar="FILE", help="also write table.json here")
    secgan.add_argument(
        "--judges",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="with parser.safetensors and attributes.safetensors (default: those that ship, or trained first)",
    )
    secgan.add_argument(
        "--features",
        type=Path,
        default=None,
        metavar="FILE",
        help="weights of a selfsupervised net (default: those that ship, or trained first)",
    )
    secgan.add_argument(
        "--inception",
        type=Path,
        default=None,
        metavar="FILE",
        help="torch-fidelity's weights of Inception, for the Inception Score (default: without)",
    )
    secgan.add_argument(
        "--test",
        type=Path,
        default=None,
        metavar="DIR",
        help="packed folder whose test split is edited (default: data)",
    )
    secgan.add_argument("--count", type=int, default=200, help="how many faces are edited")


def _add_render(command) -> None:
    render = command("render", _render, "One edit from files: a face, its mask and the edited mask to a picture.")
    render.add_argument("--image", type=Path, required=True, help="the face, cropped as in CelebA-HQ (see parse)")
    render.add_argument("--mask", type=Path, required=True, help="its label map, a PNG of class ids")
    render.add_argument("--edited", type=Path, required=True, help="the label map that the result should have")
    render.add_argument("--out", type=Path, required=True, help="picture to write, PNG or JPEG")
    render.add_argument("--weights", type=Path, default=None, help="of a DMN (default: MaskGAN†, which ships)")
    render.add_argument("--style", type=Path, default=None, help="another face, whose looks the result should have")
    render.add_argument("--style-mask", type=Path, default=None, help="the label map of that face")
    render.add_argument(
        "--keep", type=float, default=None, help="how strongly the photo stays where nothing was edited, 0 to 1"
    )
    render.add_argument("--size", type=int, default=None, help="pixels a side (default: as the weights learnt)")


def _course(options) -> int:
    from maskgan_lib.runner import run_course

    return run_course(options.notebooks or None, options.write_back)


def _faces(options) -> None:
    from maskgan_lib.data import procedural

    if options.layout == "celebamask-hq":
        procedural.render_celebamask_hq(
            options.out,
            options.count,
            seed=options.seed,
            image_size=options.size or 1024,
            identities=options.identities,
            workers=options.workers,
        )
    else:
        procedural.render_packed(
            options.out,
            options.count,
            options.size or 128,
            seed=options.seed,
            identities=options.identities,
            workers=options.workers,
        )


def _prepare(options) -> None:
    from maskgan_lib.data import celebamask, label_folders

    if options.labels:
        faces = label_folders.prepare_label_folder(
            options.root,
            options.labels,
            options.out,
            options.size,
            scheme=options.scheme,
            workers=options.workers,
            keep_going=options.keep_going,
        )
    else:
        faces = celebamask.prepare(
            options.root,
            options.out,
            options.size,
            workers=options.workers,
            keep_going=options.keep_going,
            exclude_known_bad=options.exclude_known_bad,
            limit=options.limit,
        )
    print(faces)
    if faces.left_out:
        print(f"{len(faces.left_out)} faces were left out: {options.out / 'left_out.json'} says why.")


def _parse(options) -> None:
    from maskgan_lib.evaluation.own_photos import parse_photo

    prepared = parse_photo(options.photo, options.out, options.size, options.points, options.parser)
    print(f"{options.out / 'image.png'} and labels.png: {options.size} x {options.size} pixels, {prepared.how}")


def _download(options) -> None:
    from maskgan_lib.data import download

    print(download.celebamask_hq(options.folder))


def _train(options) -> None:
    from maskgan_lib.data.packed import PackedFaces
    from maskgan_lib.training.execution import Execution, hardware, processes, say
    from maskgan_lib.training.stage import TrainingError
    from maskgan_lib.training.stages import train_all, train_stage

    faces = PackedFaces.open(options.data)
    try:
        backbone = [] if options.backbone is None else [f"secgan_backbone={options.backbone}"]
        preset = changed(PRESETS[options.preset], [*options.set, *backbone])
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


def _evaluate(options) -> None:
    from maskgan_lib.checkpoints import CheckpointError, load_weights, read_card
    from maskgan_lib.data.packed import PackedFaces
    from maskgan_lib.data.resizing import resized
    from maskgan_lib.evaluation.cards import publish
    from maskgan_lib.evaluation.measures import MEASURES

    faces = PackedFaces.open(options.data)
    indices = faces.indices("test")
    network = load_weights(options.weights)
    others = {name: load_weights(getattr(options, name)) for name in ("dmn", "maskvae") if hasattr(options, name)}
    kind, measure = MEASURES[options.network]
    if not isinstance(network, kind):
        raise CheckpointError(
            f"{options.weights} holds a {type(network).__name__}, where a {kind.__name__} is measured."
        )
    learnt = read_card(options.weights).get("image_size", faces.size)
    if learnt != faces.size:
        faces = resized(faces, indices, learnt)
        indices = faces.indices("test")
        print(f"The faces are resized to {learnt} x {learnt} pixels, at which the network learnt.")
    figures = measure(network, faces, indices, **others)
    print(*figures, sep="\n")
    if options.publish:
        publish(options.weights, options.publish, faces.source, figures)


def _tables(options) -> None:
    from maskgan_lib.course import ROOT
    from maskgan_lib.evaluation.results import evaluate_tables, write_readme

    results = evaluate_tables(
        options.out, options.data, options.networks or (), options.judges, options.judge, options.pairs, options.seed
    )
    print(results.markdown())
    print(f"tables: {options.out / 'tables.md'} {options.out / 'tables.csv'}")
    if options.write_back:
        write_readme(ROOT / "README.md", results)


def _attribute_edits(options) -> None:
    from maskgan_lib.evaluation.attribute_driven import evaluate_attribute_edits

    made = evaluate_attribute_edits(
        options.out, options.data, options.networks or (), options.masks, options.judges, options.faces
    )
    print(made.markdown())
    print(f"tables: {options.out / 'attribute-edits.md'} {options.out / 'attribute-edits.csv'}")


def _ebst_ablation(options) -> None:
    from maskgan_lib.data.packed import PackedFaces
    from maskgan_lib.evaluation.experiment import ebst_ablation

    comparison = ebst_ablation(
        PRESETS[options.preset],
        PackedFaces.open(options.data),
        options.out,
        dmn=options.dmn,
        maskvae=options.maskvae,
        judges=options.judges,
        networks=options.networks or (),
        seeds=options.seeds,
        count=options.faces,
    )
    print(comparison.markdown())
    print(f"tables: {options.out / 'table.md'} {options.out / 'table.csv'}")


def _secgan(options) -> None:
    from maskgan_lib.data.packed import PackedFaces
    from maskgan_lib.evaluation.secgan import evaluate_secgan
    from maskgan_lib.training.execution import Execution

    table = evaluate_secgan(
        PRESETS[options.preset],
        PackedFaces.open(options.data),
        options.out,
        parser=options.parser,
        variants=options.variants,
        backbones=options.backbones,
        seeds=options.seeds,
        steps=options.steps,
        weights=options.consistency,
        weight_seeds=options.consistency_seeds,
        judges=options.judges,
        features=options.features,
        inception_weights=options.inception,
        test=options.test and PackedFaces.open(options.test),
        count=options.count,
        execution=Execution(options.precision),
    )
    print(table.markdown())
    if options.publish:
        table.save(options.publish)
    print(f"tables: {options.out / 'table.md'} {options.out / 'table.csv'} {options.out / 'table.json'}")


def _render(options) -> None:
    from maskgan_lib.editor.files import render_files

    print(
        render_files(
            options.image,
            options.mask,
            options.edited,
            options.out,
            weights=options.weights,
            style=options.style,
            style_mask=options.style_mask,
            keep=options.keep,
            size=options.size,
        )
    )


def _bench(options) -> None:
    from maskgan_lib.bench import run_bench

    run_bench(quick=options.quick, json_path=options.json)


if __name__ == "__main__":
    sys.exit(main())
