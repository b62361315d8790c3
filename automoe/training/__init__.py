"""Training with fairseq. `automoe.training.train` runs each training in a process of its own."""
