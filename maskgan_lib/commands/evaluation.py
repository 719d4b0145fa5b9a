"""The command evaluate: one network, or a comparison."""

from pathlib import Path

from maskgan_lib.commands.adding import Command, adder, at_least, given, place
from maskgan_lib.presets import PRESETS

TABLES = Path("build/evaluation")
COMPARED = {"nargs": "+", "default": [], "metavar": "NAME=FILE"}
JUDGES = "folder with parser.safetensors and attributes.safetensors (default: those that ship, or trained first)"
SHIPPED_JUDGES = "folder of the judges' weights (default: those that ship)"


def add(command: Command) -> None:
    evaluate = command("evaluate", None, "Measure weights, or an experiment, on the test split of a packed folder.")
    kind = adder(evaluate.add_subparsers(metavar="what", required=True))
    for add_kind in (_add_networks, _add_tables, _add_attribute_edits, _add_ebst_ablation, _add_secgan):
        add_kind(kind)


# ---- one network


def _add_networks(kind: Command) -> None:
    generators = {"secgan-faces": "SeCGAN's generator of pictures", "secgan-masks": "SeCGAN's generator of masks"}
    judges = ("parser", "attributes", "identity", "pose", "selfsupervised")
    baselines = ("pix2pixhd-m", "spade", "stargan", "elegant")
    for network in ("maskvae", "dmn", "blender", *baselines, *generators, *judges):
        measure = kind(network, _evaluate, f"Measure weights of {generators.get(network, f'a {network}')}.")
        measure.set_defaults(network=network)
        measure.add_argument("--weights", type=place, required=True, help="its .safetensors file")
        measure.add_argument("--data", type=place, required=True, help="packed folder of faces that training never saw")
        published = "also write the weights in half precision, with a model card beside them"
        measure.add_argument("--publish", type=place, metavar="FILE", help=published)
        for other in ("dmn", "maskvae") if network == "blender" else ():
            measure.add_argument(f"--{other}", type=place, required=True, metavar="FILE", help="weights to blend with")


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


# ---- experiments: an option is an argument of the function that makes the tables


def _add_tables(kind: Command) -> None:
    summary = "The paper's tables, a row for each network and one for photos, its orderings beside ours."
    option = kind("tables", _tables, summary).add_argument
    option("--data", type=place, help="packed folder, its test split is used (default: faces drawn in OUT)")
    option(
        "--out", type=place, default=TABLES, help="folder of the lists of pairs, of what is graded, and of the tables"
    )
    option("--networks", **COMPARED, help="weights of networks to compare (default: those that ship)")
    option("--judges", type=place, metavar="FOLDER", help=SHIPPED_JUDGES)
    other = (
        "another parser, attributes, identity or pose net: weights of this library, or published ones as"
        " ROLE=NAME:FILE, NAME being one of maskgan-parser, attributes, arcface, facenet, hopenet"
    )
    option("--judge", dest="other_judges", action="append", default=[], metavar="ROLE=FILE", help=other)
    option("--pairs", type=at_least(1), help="pairs of each task at most (default: 400, 1000 and 1000)")
    option("--seed", type=at_least(0), default=0, help="of the choice of pairs")
    option("--write-back", action="store_true", help="for publishing: put the tables into README.md")


def _tables(options) -> None:
    from maskgan_lib.course.chapter import ROOT
    from maskgan_lib.course.readme import write_between
    from maskgan_lib.evaluation.paper_tables import README_BEGIN, README_END, evaluate_tables, readme_section

    asked = given(options)
    write_back = asked.pop("write_back")
    results = evaluate_tables(**asked)
    _show(results, options.out, "tables.md", "tables.csv")
    if write_back:
        write_between(ROOT / "README.md", README_BEGIN, README_END, readme_section(results))


def _add_attribute_edits(kind: Command) -> None:
    summary = "Attributes given and taken by moved masks and by changed pictures."
    option = kind("attribute-edits", _attribute_edits, summary).add_argument
    option("--data", type=place, required=True, help="packed folder: its test split is used")
    option("--out", type=place, default=TABLES, help="folder of attribute-edits.md and attribute-edits.csv")
    changing = "weights that render masks or change pictures (default: three that ship)"
    option("--networks", **COMPARED, help=changing)
    option("--masks", type=place, metavar="FILE", help="weights that move masks (default: those that ship)")
    option("--judges", type=place, metavar="FOLDER", help=SHIPPED_JUDGES)
    option("--faces", dest="count", type=at_least(1), default=100, help="how many faces of the test split, at most")


def _attribute_edits(options) -> None:
    from maskgan_lib.evaluation.attribute_edits import evaluate_attribute_edits

    _show(evaluate_attribute_edits(**given(options)), options.out, "attribute-edits.md", "attribute-edits.csv")


def _add_ebst_ablation(kind: Command) -> None:
    summary = "Does EBST help? Train a DMN on with and without it; compare both on edits."
    option = kind("ebst-ablation", _ebst_ablation, summary).add_argument
    option("--data", type=place, required=True, help="packed folder: its train and test splits are used")
    option("--out", type=place, required=True, help="folder of the runs, table.md and table.csv")
    option("--preset", choices=tuple(PRESETS), default="laptop")
    option("--dmn", type=place, help="run folder or weights to start from (default: trained first)")
    option("--maskvae", type=place, metavar="FILE", help="the MaskVAE's weights (default: trained first)")
    option("--judges", type=place, metavar="FOLDER", help=JUDGES)
    option("--networks", **COMPARED, help="train nothing: compare these weights, the last with each of the others")
    option("--seeds", type=at_least(1), default=3, help="how many seeds, of the training and of the edits")
    option("--faces", dest="count", type=at_least(1), default=40, help="how many faces of the test split are edited")


def _ebst_ablation(options) -> None:
    from maskgan_lib.evaluation.ebst import ebst_ablation

    _show(ebst_ablation(**_of_training(options)), options.out, "table.md", "table.csv")


def _add_secgan(kind: Command) -> None:
    summary = "Does semantic consistency help? SeCGAN's table: its variants on two backbones, from several seeds."
    details = " Each run has a folder in OUT: stargan-baseline/seed-0, attgan-secgan/seed-2, stargan-secgan-0.1/seed-0."
    option = kind("secgan", _secgan, summary, details).add_argument
    variants, backbones = ("baseline", "concat", "secgan"), ("stargan", "attgan")
    option("--data", type=place, required=True, help="packed folder: its train and test splits are used")
    tables = "folder of the runs and of table.md, table.csv, table.json; runs that are finished there are kept"
    option("--out", type=place, required=True, help=tables)
    option("--preset", choices=tuple(PRESETS), default="laptop")
    option("--parser", type=place, metavar="FILE", help="the weights of P, of 12 classes (default: trained)")
    option("--variants", nargs="+", choices=variants, default=variants)
    option("--backbones", nargs="+", choices=backbones, default=backbones)
    option("--seeds", type=at_least(1), default=3, help="how many trainings of each")
    option("--steps", type=at_least(1), help="of each training (default: the preset's)")
    sweep = "also train SeCGAN on the first backbone with these weights of the consistency, a row each"
    option("--consistency", type=lambda text: text.split(","), default=[], metavar="W,W,...", help=sweep)
    option("--consistency-seeds", type=at_least(1), default=1, metavar="N", help="how many trainings of these")
    precision = "of the trainings (default: bf16 on a GPU that has it, else no)"
    option("--precision", choices=("no", "bf16", "fp16"), help=precision)
    option("--publish", type=place, metavar="FILE", help="also write table.json here")
    option("--judges", type=place, metavar="FOLDER", help=JUDGES)
    features = "weights of a selfsupervised net (default: those that ship, or trained first)"
    option("--features", type=place, metavar="FILE", help=features)
    score = "torch-fidelity's weights of Inception, for the Inception Score (default: without)"
    option("--inception", dest="inception_weights", type=place, metavar="FILE", help=score)
    option("--test", type=place, metavar="DIR", help="packed folder whose test split is edited (default: data)")
    option("--count", type=at_least(1), default=200, help="how many faces are edited")


def _secgan(options) -> None:
    from maskgan_lib.data.packed import PackedFaces
    from maskgan_lib.evaluation.secgan import evaluate_secgan
    from maskgan_lib.training.execution import Execution

    asked = _of_training(options)
    published, asked["execution"] = asked.pop("publish"), Execution(asked.pop("precision"))
    table = evaluate_secgan(**asked | {"test": options.test and PackedFaces.open(options.test)})
    if published:
        table.save(published)
    _show(table, options.out, "table.md", "table.csv", "table.json")


def _of_training(options) -> dict:
    """The arguments of an experiment that trains."""
    from maskgan_lib.data.packed import PackedFaces

    asked = given(options)
    faces = PackedFaces.open(asked.pop("data"))
    return asked | {"preset": PRESETS[options.preset], "faces": faces}


def _show(report, out: Path, *files: str) -> None:
    print(report.markdown())
    print("tables:", *(out / name for name in files))
