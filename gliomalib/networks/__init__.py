"""The networks, what they are trained on, how, and what they predict."""
