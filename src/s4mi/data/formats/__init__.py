"""What is inside the files that people bring: one module a family of formats, each giving a `Header` and its frames."""
