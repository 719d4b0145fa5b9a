"""The weights that ship: the script that makes them says what the tables say of their training."""

import json
import os
import subprocess
import sys

import pytest

from maskgan_lib.bench.costs import at_work, update_times
from maskgan_lib.checkpoints import read_card
from maskgan_lib.commands import parser
from maskgan_lib.course.chapter import ROOT
from maskgan_lib.data import procedural
from maskgan_lib.evaluation.judges import PRETRAINED
from maskgan_lib.evaluation.secgan_table import Arm, SeCGANTable
from maskgan_lib.evaluation.shipped import SHIPPED_METHODS, TRAININGS, Phase
from maskgan_lib.presets import PRESETS, changed, read_preset
from maskgan_lib.training.stages import STAGES, run_settings

PRETENDS = """#!{python}
import json, pathlib, sys
with open("commands", "a") as file:
    file.write(json.dumps(sys.argv[3:]) + "\\n")
if sys.argv[3] == "train":
    out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
    out.mkdir(parents=True)
    (out / "network.safetensors").touch()
"""
"""A Python that notes what it is asked for."""


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """What make.sh asks of the library, each command parsed as the library would."""
    folder = tmp_path_factory.mktemp("make")
    python = folder / "python"
    python.write_text(PRETENDS.format(python=sys.executable))
    python.chmod(0o755)
    script = ROOT / "data" / "pretrained" / "make.sh"
    subprocess.run(["sh", str(script)], cwd=folder, env={**os.environ, "PYTHON": str(python)}, check=True)
    asked = [json.loads(line) for line in (folder / "commands").read_text().splitlines()]
    return [(words, parser().parse_args(words)) for words in asked]


def published(commands):
    """By name of the weights that ship: the run that they come from."""
    found = [
        (words[1], options)
        for words, options in commands
        if words[0] == "evaluate" and {"--weights", "--publish"} <= {*words}
    ]
    return {options.publish.stem: (what, options.weights.parent) for what, options in found}


def test_every_file_that_ships_is_made_and_has_a_card(commands):
    there = {path.stem for path in PRETRAINED.glob("*.safetensors")}
    assert there == set(published(commands)) == {path.stem for path in PRETRAINED.glob("*.md")} - {"TUNING"}


def test_methods_were_trained_as_the_tables_say(commands):
    runs = {options.out: options for words, options in commands if words[0] == "train"}
    (ablation,) = (options for words, options in commands if words[:2] == ["evaluate", "ebst-ablation"])
    for name, file in SHIPPED_METHODS.items():
        run, phases = published(commands)[file][1], []
        if run not in runs:
            assert run.parent == ablation.out / "seed-0"
            phases.append(("ebst" if run.name == "ebst" else "dmn", ablation.preset))
            run = ablation.dmn
        while run is not None:
            options = runs[run]
            assert options.steps is None and not options.set, "the preset alone says how it was trained"
            phases.append((options.stage, options.preset))
            run = options.init and (options.init.parent if options.init.suffix else options.init)
        assert [(phase.stage, phase.preset.name) for phase in TRAININGS[name]] == phases[::-1], name


def test_cards_name_the_last_phase():
    for name, file in SHIPPED_METHODS.items():
        card, last = read_card(PRETRAINED / f"{file}.safetensors"), TRAININGS[name][-1]
        assert (card["network"], card["preset"]["name"], card["steps"]) == (last.stage, last.preset.name, last.steps)


@pytest.mark.parametrize("name", ["secgan", "secgan-masks", "secgan-parser", "selfsupervised"])
def test_cards_of_secgan_say_what_make_sh_asks_for(commands, name):
    run = published(commands)[name][1]
    (options,) = (options for words, options in commands if words[0] == "train" and options.out == run)
    preset, card = changed(PRESETS[options.preset], options.set), read_card(PRETRAINED / f"{name}.safetensors")
    base = card["preset"]["name"].partition(",")[0]  # what --set changed follows it, by the names of that day
    assert (card["network"], base, options.steps) == (options.stage, options.preset, None)
    settings = STAGES[options.stage].settings
    today = json.loads(json.dumps(preset.asdict()[settings]))
    assert read_preset(card)[settings] == today and card["steps"] == today["steps"]


def test_table_of_secgan_is_of_the_runs_that_make_sh_asks_for(commands):
    (options,) = (options for words, options in commands if words[:2] == ["evaluate", "secgan"])
    table, preset = SeCGANTable.load(PRETRAINED / options.publish.name), PRESETS[options.preset]
    seeds = {str(Arm(b, v)): options.seeds for b in options.backbones for v in options.variants}
    weights = [weight for weight in options.consistency if float(weight) != preset.secgan.consistency_weight]
    seeds |= {str(Arm(options.backbones[0], "secgan", w)): options.consistency_seeds for w in weights}
    assert {str(arm): len(table.of_arm(arm)) for arm in table.arms} == seeds
    assert table.attributes == preset.secgan.attributes
    assert {run.card["steps"] for run in table.runs} == {preset.secgan.steps}


def test_presets_of_the_cards_are_those_of_today():
    """What a network was trained with, as far as its stage looks at it. Older cards do not know all fields."""
    for name, file in SHIPPED_METHODS.items():
        last = TRAININGS[name][-1]
        settings = STAGES[last.stage].settings
        then, today = read_preset(read_card(PRETRAINED / f"{file}.safetensors")), last.preset.asdict()
        for section in {settings, *("dmn", "adversary") * (settings in ("dmn", "ebst"))}:
            assert then[section].items() <= json.loads(json.dumps(today[section])).items(), (name, section)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return procedural.render_packed(tmp_path_factory.mktemp("drawn") / "packed", 10, 64, progress=False)


@pytest.mark.parametrize("name", ["dmn", "ebst", "pix2pixhd-m", "spade", "stargan", "elegant"])
def test_updates_of_a_step_are_counted(name, drawn):
    preset = PRESETS["smoke"].replace({"elegant.attributes": ("Smiling", "Smiling")})
    stage, accelerator, batches = at_work(name, preset, drawn)
    maker = set(stage.networks[stage.averaged[0]].parameters())
    updates = []
    for optimizer in stage.optimizers.values():
        if maker & {parameter for group in optimizer.param_groups for parameter in group["params"]}:
            optimizer.optimizer.register_step_post_hook(lambda *_: updates.append(1))
    stage.step([batches.at(0)], accelerator)
    assert len(updates) == STAGES[name].updates_per_step(preset)
    assert Phase(name, preset).updates == len(updates) * run_settings(name, preset).steps


def test_faces_seen():
    preset = PRESETS["smoke"]
    for stage, steps, faces in (("dmn", 16, 4), ("ebst", 8, 4), ("stargan", 16, 20), ("elegant", 16, 2 * 8)):
        assert Phase(stage, preset).faces == steps * faces, stage


def test_every_stage_is_timed(drawn):
    times = update_times(["dmn", "ebst", "stargan"], PRESETS["smoke"], drawn, seconds=0.01)
    assert list(times) == ["dmn", "ebst", "stargan"] and all(time > 0 for time in times.values())
