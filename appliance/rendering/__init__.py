"""How things are drawn: the only room of glumpy and pyvips. Does not know storage."""
