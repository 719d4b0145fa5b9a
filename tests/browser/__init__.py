"""Tests in a real browser: of a widget's view alone (page), and of the whole chain in JupyterLab (lab)."""
