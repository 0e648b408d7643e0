"""Networks: backbones, segmentation networks, heads, and where their weights come from."""
