"""What stands on the library for readers: pictures, exercises, explorers; a folder a chapter."""
