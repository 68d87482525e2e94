"""What both ends of the stream share: the messages, frames on disk, and batches as columns."""
