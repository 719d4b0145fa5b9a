"""Faces on disk: the packed folder that training reads, and what is turned into one."""
