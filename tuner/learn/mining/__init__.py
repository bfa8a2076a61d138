"""From a run's trials to candidate laws. Pure functions over a table of trials; nothing here measures or writes."""
