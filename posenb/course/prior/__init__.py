"""Notebook 01: its explorer and exercises."""
