"""A judge that shows its reasons: principles, criteria for a pair, scores, and what decided."""
