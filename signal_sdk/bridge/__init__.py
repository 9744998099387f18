"""The way between a program that does not run on trio and the `Signal` that does."""
