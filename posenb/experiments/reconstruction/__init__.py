"""The experiments with the 2.5D detector."""
