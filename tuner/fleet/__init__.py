"""Many machines as one: pieces of work go to whoever has what they want; what travels is data, never code to run."""
