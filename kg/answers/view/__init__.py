"""`kg view`: the graph as one self-contained HTML page that a person explores in a browser."""
