"""Carries a plan out: processes, retries, memory, progress, events, record."""
