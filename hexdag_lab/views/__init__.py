"""What screens show: pure models made of a run at one moment, and thin shells that draw them."""
