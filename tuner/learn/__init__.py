"""What a search learns: candidate laws mined from trials, confirmed on sizes they were not found on, written back."""
