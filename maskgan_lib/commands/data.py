"""The commands that make and look at data: faces, prepare, parse, labels, doctor and download."""

from maskgan_lib.commands.adding import SCHEMES, Command, at_least, given, place


def add(command: Command) -> None:
    summary = "Draw procedural faces: a packed folder, or the layout of CelebAMask-HQ."
    option = command("faces", _faces, summary).add_argument
    option("out", type=place, help="folder to write")
    option("--count", type=at_least(1), default=2000, help="how many faces")
    option("--size", type=at_least(1), help="pixels a side (default: 128; 1024 with celebamask-hq)")
    option("--seed", type=at_least(0), default=0, help="another seed draws other people")
    option("--identities", type=at_least(1), help="how many people (default: one per face)")
    option(
        "--expressions",
        type=at_least(1),
        default=1,
        help="pictures of each face that differ in expression alone (packed)",
    )
    option("--layout", choices=("packed", "celebamask-hq"), default="packed")
    option("--workers", type=at_least(1), help="processes (default: one per core)")

    summary = "Turn CelebAMask-HQ, or folders of images and label maps, into a packed folder."
    option = command("prepare", _prepare, summary).add_argument
    option("root", type=place, help="CelebAMask-HQ, unpacked or its zip; with --labels a folder of images")
    option("--out", type=place, required=True, help="packed folder to write")
    option("--size", type=at_least(1), default=512, help="pixels a side")
    option("--labels", type=place, help="a folder of label maps, one for each image of root")
    option("--scheme", choices=SCHEMES, help=f"whose class ids the label maps of --labels use (default: {SCHEMES[0]})")
    option("--source", default="", help="what the faces of --labels are, for the cards of what learns from them")
    option("--keep-going", action="store_true", help="leave bad faces out and list them in a file")
    option("--limit", type=at_least(1), help="only the first so many faces of CelebAMask-HQ")
    option("--exclude-known-bad", action="store_true", help="leave out the faces known to be wrong")
    option("--keep-duplicates", action="store_true", help="keep the 13 photographs that the data set has twice")
    option("--workers", type=at_least(1), help="processes (default: one per core)")

    summary = "Cut the face out of a photo as CelebA-HQ does, and make its label map."
    details = " The parser that ships knows procedural faces only: look at the label map before you use it."
    option = command("parse", _parse, summary, details).add_argument
    option("photo", type=place, help="a picture file")
    option("--out", type=place, required=True, help="folder for image.png and labels.png")
    option("--size", type=at_least(1), default=512, help="pixels a side of the crop")
    points = "two eyes, then two corners of the mouth, in pixels of the photo (default: the parser looks for them)"
    option("--points", nargs=4, type=_point, metavar="X,Y", help=points)
    option("--parser", type=place, metavar="FILE", help="weights (default: those that ship)")

    summary = "Write label maps with other ids, in other colours, or part by part."
    option = command("labels", _labels, summary).add_argument
    option("source", type=place, help="a PNG, or a folder of them")
    option("out", type=place, help="PNG or folder to write")
    option("--scheme", choices=SCHEMES, default=SCHEMES[0], help="whose class ids the label maps use")
    kinds = ("palette", "colours", "parts", *SCHEMES)
    to = "our ids in our colours, a picture in these, a PNG for every part, or the ids of a scheme"
    option("--to", choices=kinds, default=kinds[0], help=to)

    summary = "Say what a folder, zip, mask, photo or weights file is, whether all is well, and how to use it."
    option = command("doctor", _doctor, summary).add_argument
    option("path", type=place)

    option = command("download", _download, "Fetch CelebAMask-HQ (3 GB, for non-commercial research).").add_argument
    option("folder", type=place, help="folder to keep it in")


def _faces(options) -> None:
    from maskgan_lib.data import procedural
    from maskgan_lib.data.errors import DataError

    people = {"seed": options.seed, "identities": options.identities, "workers": options.workers}
    if options.layout == "celebamask-hq":
        if options.expressions > 1:
            raise DataError("--expressions is for packed folders: leave it out with --layout celebamask-hq.")
        procedural.render_celebamask_hq(options.out, options.count, image_size=options.size or 1024, **people)
    else:
        procedural.render_packed(
            options.out, options.count, options.size or 128, expressions=options.expressions, **people
        )


def _prepare(options) -> None:
    from maskgan_lib.data import celebamask, label_folders
    from maskgan_lib.data.errors import DataError

    kept = {name: getattr(options, name) for name in ("workers", "keep_going", "out", "size")}
    of_official = {name: getattr(options, name) for name in ("exclude_known_bad", "keep_duplicates", "limit")}
    unused = [name for name, value in of_official.items() if value] if options.labels else []
    if unused or (options.scheme and not options.labels):
        option = "--" + (unused[0] if unused else "scheme").replace("_", "-")
        goes = "CelebAMask-HQ itself, without --labels" if unused else "the label maps of --labels"
        raise DataError(f"{option} is for {goes}: leave it out here.")
    if options.labels:
        scheme = options.scheme or SCHEMES[0]
        about = {"scheme": scheme, "source": options.source}
        faces = label_folders.prepare_label_folder(options.root, options.labels, **about, **kept)
    else:
        faces = celebamask.prepare(options.root, **of_official, **kept)
    print(faces)
    if options.size & (options.size - 1) or not 32 <= options.size <= 512:
        print(f"MaskVAE and EBST take 32, 64, 128, 256 or 512 pixels a side: none of them learns from {options.size}.")
    mended = sum(record.mended for record in faces.records)
    if mended:
        print(f"{mended} label maps had left and right swapped: they were put right.")
    if faces.left_out:
        print(f"{len(faces.left_out)} faces were left out: {options.out / 'left_out.json'} says why.")


def _point(text: str) -> tuple[float, float]:
    x, y = map(float, text.split(","))  # a ValueError makes argparse name the argument
    return x, y


def _parse(options) -> None:
    from maskgan_lib.editor.own_photos import parse_photo

    prepared = parse_photo(**given(options))
    print(f"{options.out / 'image.png'} and labels.png: {options.size} x {options.size} pixels, {prepared.how}")


def _labels(options) -> None:
    from maskgan_lib.data.label_maps import convert_files

    print(f"{options.out}: {convert_files(**given(options))} label maps")


def _doctor(options) -> int:
    from maskgan_lib.course.doctor import report

    return report(**given(options))


def _download(options) -> None:
    from maskgan_lib.data import download

    print(download.celebamask_hq(options.folder))
