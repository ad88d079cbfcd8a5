"""Networks of integer ops on a GPU: kernels, and the list of their launches."""
