"""Chapter 00: the explorer and the exercises of the notebook that everybody starts with."""
