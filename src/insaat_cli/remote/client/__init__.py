"""What a submitter does."""
