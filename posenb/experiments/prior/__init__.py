"""The experiments of notebook 01."""
