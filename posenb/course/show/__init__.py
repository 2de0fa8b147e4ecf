"""What the reader sees: one style, figures with alt text, 3D scenes and explorer widgets."""
