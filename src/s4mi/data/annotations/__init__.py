"""Annotation on its way to people who correct it, and back: tables, masks, Label Studio, COCO."""
