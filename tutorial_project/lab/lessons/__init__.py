"""What each notebook's exercises and questions judge: a file a notebook, loaded by `exercises.load_lessons`."""
