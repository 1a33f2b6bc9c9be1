"""The printed claims, the rules that decide on them, and what the records make of them."""
