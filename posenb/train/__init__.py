"""Training.

Where it runs (`runtime`), the one loop (`loop`), what it keeps (`checkpoints`), and experiments
over rows and seeds (`sweep`).
"""
