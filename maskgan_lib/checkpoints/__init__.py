"""Reading and writing weights: ours with a model card, the state of a training run, and the authors' own files."""

from maskgan_lib.checkpoints.authors import authors_state, export_authors, load_authors
from maskgan_lib.checkpoints.files import CheckpointError, load_into, load_state, save_state
from maskgan_lib.checkpoints.weights import load_weights, read_card, save_weights
