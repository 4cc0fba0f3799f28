"""The command line `steelyard`: a file a group of commands. Nothing in here is a promise to importers."""

from steelyard.cli.root import app, main

__all__ = ["app", "main"]
