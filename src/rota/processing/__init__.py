"""What is done with a chunk and at the end of a batch run, whichever engine does it."""
