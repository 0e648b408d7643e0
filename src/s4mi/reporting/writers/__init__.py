"""Writers of a report: page, Markdown, LaTeX and CSV; the model card; the files of a simulation."""
