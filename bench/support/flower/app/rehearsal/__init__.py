"""A round that trains nothing, as a Flower app: clients return what they got plus a constant."""
