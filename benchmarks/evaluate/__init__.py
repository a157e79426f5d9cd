"""How good restored clips are: sharp clips made poor, restored in several ways, and measured."""
