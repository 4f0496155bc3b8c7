"""The demonstration: the whole chain on English text that every Python installation carries."""
