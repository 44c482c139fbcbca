"""What a pipeline is, how its file is read, and the contract of its stages."""
