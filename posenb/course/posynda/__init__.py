"""Notebook 06: its explorers and exercises, and lifted films as pictures."""
