"""Writing what is learned into law files that people edit too: comments and order stay, writes are atomic."""
