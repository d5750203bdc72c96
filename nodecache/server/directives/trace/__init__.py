"""`trace`."""
