"""Folders that a user names for something to be written to: new, and there whole or not at all."""


