"""Export of annotations for correction, and their import and merge: tables, masks, Label Studio, COCO."""
