"""OpenMVG and OpenMVS from outside: where their programs are, what they say, what they write."""
