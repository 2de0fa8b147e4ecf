"""The experiments of notebook 06."""
