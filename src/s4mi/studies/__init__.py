"""What a study is made of: its plan in order, its folder, the processes that make its runs."""
