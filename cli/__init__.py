"""The commands `kg` and `tune`: parse, call one library function, render."""
