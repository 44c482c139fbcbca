"""The protocol: state, spec, keys and lease of a job, and who may change what."""
