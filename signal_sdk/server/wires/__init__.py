"""How each kind of client is spoken to: one module for each wire, and the seam that they share."""
