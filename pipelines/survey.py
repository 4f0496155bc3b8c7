"""Comparing documents with each other: two more steps in front of the job, over hashes, not over text.

    splits -> hashes, by bucket -> what comes twice, by split -> splits, with what is to be left out of them

The text is read once more afterwards; what a document is called in between is its number in its split.
"""
