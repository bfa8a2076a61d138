"""What is known elsewhere, as a belief about the target's space: trials on other hardware, laws, and how far to trust them."""
