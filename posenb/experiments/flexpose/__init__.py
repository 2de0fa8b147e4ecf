"""The experiments of notebook 02."""
