"""Generated prompts of three domains and very different number: word problems, instructions whose following can be checked, and open writing."""

from steelyard.tasks.everyday.task import DOMAINS, everyday_rows

__all__ = ["DOMAINS", "everyday_rows"]
