"""What the trials of runs say of laws: tables of trials, the judgement, the evidence entry that it gives. Nothing of files."""
