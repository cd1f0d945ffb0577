"""Lock managers: who may work on a key now."""
