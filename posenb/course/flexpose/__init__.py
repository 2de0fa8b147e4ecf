"""Notebook 02: its explorer and exercises."""
