"""Tasks the project generates itself: prompts and a policy small enough to ship."""
