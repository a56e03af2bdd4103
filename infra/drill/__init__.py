"""The chaos drill: clients pay while parts of the stack are killed at random, and the books are proved afterwards."""
