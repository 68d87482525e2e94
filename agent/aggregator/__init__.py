"""The central process: takes the nodes' streams, stores them and shows them."""
