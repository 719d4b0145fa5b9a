#!/bin/sh
# The exact commands that made the weights in this folder. Run from the project's root; everything else goes to build/.
# Interrupted, it goes on where it stopped. The DMN learns at half the size first, where a step costs a quarter, and
# ends with more weight on the perceptual loss.
set -eu
python=${PYTHON:-.venv/bin/python}
run=build/shipped
lib="$python -m maskgan_lib"

faces() { [ -d "$run/$1" ] || $lib faces "$run/$1" --count "$2" --size "$3" --seed "$4"; }
train() {
  preset=$1 out=$2
  shift 2
  [ -f "$run/$out/${out%%-*}.safetensors" ] || $lib train "$@" --preset "$preset" --out "$run/$out" --resume
}

faces faces-64 6000 64 1
faces faces-128 6000 128 1
faces unseen-128 2000 128 2

train shipped maskvae-128 maskvae --data "$run/faces-128"
train shipped-half dmn-64 dmn --data "$run/faces-64"
train shipped dmn-128 dmn --data "$run/faces-128" --init "$run/dmn-64"
train shipped-finish dmn-finish dmn --data "$run/faces-128" --init "$run/dmn-128"
train shipped parser-128 parser --data "$run/faces-128"
train shipped attributes-128 attributes --data "$run/faces-128"

publish() {
  kind=$1 weights=$2 name=$3
  shift 3
  $lib evaluate "$kind" --weights "$run/$weights" --data "$run/unseen-128" --publish "data/pretrained/$name.safetensors" "$@"
}
publish maskvae maskvae-128/maskvae.safetensors maskvae
publish dmn dmn-finish/dmn.safetensors dmn
publish parser parser-128/parser.safetensors parser
publish attributes attributes-128/attributes.safetensors attributes

# EBST, and its control: the same DMN after as many more updates without it.
maskvae=$run/maskvae-128/maskvae.safetensors arms=ablation/seed-0
$lib evaluate ebst-ablation --preset shipped-finish --data "$run/faces-128" --out "$run/ablation" --seeds 1 \
  --dmn "$run/dmn-finish" --maskvae "$maskvae" --judges data/pretrained
publish dmn $arms/ebst/dmn.safetensors maskgan
publish dmn $arms/longer/dmn.safetensors dmn-longer
publish blender $arms/ebst/blender.safetensors blender --dmn "$run/$arms/ebst/dmn.safetensors" --maskvae "$maskvae"
