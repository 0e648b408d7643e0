"""What every run is made of: its settings and images, its state, its epochs and what is kept of them."""
