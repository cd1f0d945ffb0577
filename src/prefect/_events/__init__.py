"""Events on their way from a program to the database."""
