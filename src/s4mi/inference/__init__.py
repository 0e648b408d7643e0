"""What a trained network says of images, whatever form it is kept in."""
