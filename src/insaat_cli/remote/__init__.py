"""Remote work: a job queue in a store (a folder or an S3 bucket), its worker and its client."""
