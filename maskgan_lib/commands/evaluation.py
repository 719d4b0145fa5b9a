"""The command evaluate: one network, or a comparison."""

import argparse
from pathlib import Path

from maskgan_lib.commands.adding import Command, adder
from maskgan_lib.presets import PRESETS

JUDGES = "weights of the judges (default: those that ship)"
TWO_JUDGES = "with parser.safetensors and attributes.safetensors (default: those that ship, or trained first)"


def add(command: Command) -> None:
    evaluate = command("evaluate", None, "Measure weights, or an experiment, on the test split of a packed folder.")
    kind = adder(evaluate.add_subparsers(metavar="what", required=True))
    for add_kind in (_add_networks, _add_tables, _add_attribute_edits, _add_ebst_ablation, _add_secgan):
        add_kind(kind)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1 is needed")
    return number


def _add_networks(kind: Command) -> None:
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


def _evaluate(options) -> None:
    from maskgan_lib.checkpoints import load_weights, read_card
    from maskgan_lib.data.packed import PackedFaces
    from maskgan_lib.data.resizing import resized
    from maskgan_lib.evaluation.cards import publish
    from maskgan_lib.evaluation.figures import figures_of
    from maskgan_lib.evaluation.tasks import held_out

    faces = PackedFaces.open(options.data)
    indices, network = held_out(faces), load_weights(options.weights)
    others = {name: load_weights(getattr(options, name)) for name in ("dmn", "maskvae") if hasattr(options, name)}
    learnt = read_card(options.weights).get("image_size", faces.size)
    if learnt != faces.size:
        faces = resized(faces, indices, learnt)
        indices = held_out(faces)
        print(f"The faces are resized to {learnt} x {learnt} pixels, at which the network learnt.")
    figures = figures_of(options.network, network, faces, indices, **others)
    print(*figures, sep="\n")
    if options.publish:
        publish(options.weights, options.publish, faces.source, figures)


def _add_tables(kind: Command) -> None:
    tables = kind(
        "tables", _tables, "The paper's tables, a row for each network and one for photos, its orderings beside ours."
    )
    tables.add_argument("--data", type=Path, help="packed folder, its test split is used (default: faces drawn in OUT)")
    tables.add_argument(
        "--out",
        type=Path,
        default=Path("build/evaluation"),
        help="folder of the lists of pairs, of what is graded already, and of tables.md and tables.csv",
    )
    tables.add_argument(
        "--networks", nargs="+", metavar="NAME=FILE", help="weights of networks to compare (default: those that ship)"
    )
    _add_judges(tables, JUDGES)
    tables.add_argument(
        "--judge",
        action="append",
        default=[],
        metavar="ROLE=FILE",
        help="another parser, attributes, identity or pose net: weights of this library, or published ones as"
        " ROLE=NAME:FILE, NAME being one of maskgan-parser, attributes, arcface, facenet, hopenet",
    )
    tables.add_argument("--pairs", type=_positive, help="pairs of each task at most (default: 400, 1000 and 1000)")
    tables.add_argument("--seed", type=int, default=0, help="of the choice of pairs")
    tables.add_argument("--write-back", action="store_true", help="for publishing: put the tables into README.md")


def _tables(options) -> None:
    from maskgan_lib.course.chapter import ROOT
    from maskgan_lib.course.readme import write_between
    from maskgan_lib.evaluation.paper_tables import README_BEGIN, README_END, evaluate_tables, readme_section

    results = evaluate_tables(
        options.out, options.data, options.networks or (), options.judges, options.judge, options.pairs, options.seed
    )
    print(results.markdown())
    print(f"tables: {options.out / 'tables.md'} {options.out / 'tables.csv'}")
    if options.write_back:
        write_between(ROOT / "README.md", README_BEGIN, README_END, readme_section(results))


def _add_attribute_edits(kind: Command) -> None:
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
    driven.add_argument("--masks", type=Path, metavar="FILE", help="weights that move masks (default: those that ship)")
    _add_judges(driven, JUDGES)
    driven.add_argument("--faces", type=_positive, default=100, help="how many faces of the test split, at most")


def _attribute_edits(options) -> None:
    from maskgan_lib.evaluation.attribute_edits import evaluate_attribute_edits

    made = evaluate_attribute_edits(
        options.out, options.data, options.networks or (), options.masks, options.judges, options.faces
    )
    print(made.markdown())
    print(f"tables: {options.out / 'attribute-edits.md'} {options.out / 'attribute-edits.csv'}")


def _add_ebst_ablation(kind: Command) -> None:
    ablation = kind(
        "ebst-ablation", _ebst_ablation, "Does EBST help? Train a DMN on with and without it; compare both on edits."
    )
    ablation.add_argument("--data", type=Path, required=True, help="packed folder: its train and test splits are used")
    ablation.add_argument("--out", type=Path, required=True, help="folder of the runs, table.md and table.csv")
    ablation.add_argument("--preset", choices=tuple(PRESETS), default="laptop")
    ablation.add_argument("--dmn", type=Path, help="run folder or weights to start from (default: trained first)")
    ablation.add_argument("--maskvae", type=Path, metavar="FILE", help="the MaskVAE's weights (default: trained first)")
    _add_judges(ablation, TWO_JUDGES)
    ablation.add_argument(
        "--networks",
        nargs="+",
        metavar="NAME=FILE",
        help="train nothing: compare these weights, the last with each of the others",
    )
    ablation.add_argument("--seeds", type=_positive, default=3, help="how many seeds, of the training and of the edits")
    ablation.add_argument("--faces", type=_positive, default=40, help="how many faces of the test split are edited")


def _ebst_ablation(options) -> None:
    from maskgan_lib.data.packed import PackedFaces
    from maskgan_lib.evaluation.ebst import ebst_ablation

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


def _add_secgan(kind: Command) -> None:
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
        "--parser", type=Path, metavar="FILE", help="the weights of P, of 12 classes (default: trained)"
    )
    secgan.add_argument(
        "--variants", nargs="+", choices=("baseline", "concat", "secgan"), default=("baseline", "concat", "secgan")
    )
    secgan.add_argument("--backbones", nargs="+", choices=("stargan", "attgan"), default=("stargan", "attgan"))
    secgan.add_argument("--seeds", type=_positive, default=3, help="how many trainings of each")
    secgan.add_argument("--steps", type=_positive, help="of each training (default: the preset's)")
    secgan.add_argument(
        "--consistency",
        type=lambda text: text.split(","),
        default=[],
        metavar="W,W,...",
        help="also train SeCGAN on the first backbone with these weights of the consistency, a row each",
    )
    secgan.add_argument(
        "--consistency-seeds", type=_positive, default=1, metavar="N", help="how many trainings of these"
    )
    secgan.add_argument(
        "--precision",
        choices=("no", "bf16", "fp16"),
        help="of the trainings (default: bf16 on a GPU that has it, else no)",
    )
    secgan.add_argument("--publish", type=Path, metavar="FILE", help="also write table.json here")
    _add_judges(secgan, TWO_JUDGES)
    secgan.add_argument(
        "--features",
        type=Path,
        metavar="FILE",
        help="weights of a selfsupervised net (default: those that ship, or trained first)",
    )
    secgan.add_argument(
        "--inception",
        type=Path,
        metavar="FILE",
        help="torch-fidelity's weights of Inception, for the Inception Score (default: without)",
    )
    secgan.add_argument(
        "--test",
        type=Path,
        metavar="DIR",
        help="packed folder whose test split is edited (default: data)",
    )
    secgan.add_argument("--count", type=_positive, default=200, help="how many faces are edited")


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


def _add_judges(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--judges", type=Path, metavar="FOLDER", help=what)
