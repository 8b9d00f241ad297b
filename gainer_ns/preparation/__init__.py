"""What is found out about a photo before it is lifted: mask, depth, focal length, and what lies behind."""
