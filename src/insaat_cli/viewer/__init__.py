"""The viewer page: what it shows, the local server behind it, and the single file to send."""
