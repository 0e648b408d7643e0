"""What may be wrong with a data set: each module looks for one kind of trouble in what `look` saw of every row."""
