"""Container images made by hand, a registry that serves them, and how their trees are compared. No test is in this folder."""
