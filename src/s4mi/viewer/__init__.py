"""The page of `s4mi view`: a local server that shows a data set, takes annotations, merges them and follows a study."""
