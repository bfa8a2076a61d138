"""Typed, frozen forms of every file under a law root. One module per kind of file; nothing here touches the disk."""
