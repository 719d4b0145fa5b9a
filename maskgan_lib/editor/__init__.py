"""The mask editor: paint on the mask of a face, see the face.

``session`` holds all that needs no browser, and neither it nor this package needs the widget libraries; ``widget``
shows a session in a notebook.
"""

from maskgan_lib.editor.checks import EditError
from maskgan_lib.editor.session import COMMANDS, EditSession
from maskgan_lib.editor.steps import EditorFace, Step

__all__ = ["COMMANDS", "EditError", "EditSession", "EditorFace", "Step"]
