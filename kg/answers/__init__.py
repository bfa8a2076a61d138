"""What people ask of a law root: query, why, explain, lineage, the graph and the page made of it."""
