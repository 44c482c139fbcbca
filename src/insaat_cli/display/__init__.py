"""Events and results as text: boards, lines, tables. Only `cli` uses it."""
