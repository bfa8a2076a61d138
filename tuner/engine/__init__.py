"""One search from its first trial to its run file: loop, budget, audit, journal, record."""
