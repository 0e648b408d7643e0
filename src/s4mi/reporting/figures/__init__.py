"""Figures of a report as inline SVG."""
