"""What makes the notebooks a course: exercises that answer, and results beside the paper's."""
