"""Judges whose weights others have published, under the names of their layers."""
